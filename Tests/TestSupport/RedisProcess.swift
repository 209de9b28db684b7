// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import Glibc
import Reactor
import Synchronization
package import Wire

/// Runs `body` with a Redis of its own on a free port, without persistence, and ends it however the body returns.
package func withRedis<Value>(
    password: String? = nil,
    arguments: [String] = [],
    isolation: isolated (any Actor)? = #isolation,
    _ body: (RedisProcess) async throws -> Value
) async throws -> Value {
    let redis = try RedisProcess(password: password, arguments: arguments)
    do {
        try await redis.start()
        let value = try await body(redis)
        await redis.kill()
        return value
    } catch {
        await redis.kill()
        throw error
    }
}

/// A redis-server that can be stopped, killed, paused and started again on its port.
///
/// A shell holds it: it kills the server when its standard input closes, which the kernel does for us however the test process ends.
package final class RedisProcess: Sendable {
    private struct Running {
        let pid: pid_t
        let shell: SpawnedCommand
        /// The shell's standard input.
        let lifeline: Int32
    }

    package let port: UInt16
    private let password: String?
    private let arguments: [String]
    private let running = Mutex<Running?>(nil)

    private static let script = """
        trap '' INT TERM HUP
        port=$1
        shift
        redis-server "$@" >/dev/null 2>&1 &
        until redis-cli -p "$port" PING >/dev/null 2>&1; do
            kill -0 $! 2>/dev/null || { echo "it ended at once"; exit 1; }
            sleep 0.02
        done
        echo $!
        cat >/dev/null
        kill -9 $! 2>/dev/null
        wait $!
        """

    /// `arguments` come last; a sentinel's begin with its configuration file.
    init(password: String?, arguments: [String] = []) throws {
        self.password = password
        self.arguments = arguments
        port = try Self.freePort()
    }

    /// Below the range from which the kernel takes ports for outgoing connections, so that it is still free for a restart.
    package static func freePort() throws -> UInt16 {
        for _ in 0..<100 {
            let port = UInt16.random(in: 18_000..<32_000)
            if (try? ListenSocket.open(Endpoint(host: "127.0.0.1", port: port))) != nil { return port }
        }
        throw DeadlinePassed("a free port for Redis was not found")
    }

    package var url: String { "redis://\(password.map { ":\($0)@" } ?? "")127.0.0.1:\(port)/0" }

    /// What a replica got from its master, although nothing is ever saved.
    private var snapshot: String { "kv-redis-\(port).rdb" }

    /// nil while it is stopped.
    package var pid: Int32? { running.withLock { $0?.pid } }

    // MARK: Life

    /// Starts it again, empty, and returns when it answers.
    package func start() async throws {
        let secret = password.map { ["--requirepass", $0] } ?? []
        let basics = [
            "--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/tmp", "--dbfilename", snapshot,
        ]
        let file = arguments.first.flatMap { $0.hasPrefix("-") ? nil : [$0] } ?? []
        let all = [String(port)] + file + basics + secret + arguments.dropFirst(file.count)
        let lifeline = try SpawnedCommand.pipe()
        let shell = try SpawnedCommand(["/bin/sh", "-c", Self.script, "redis"] + all, input: lifeline.reading)
        close(lifeline.reading)
        let line = await shell.output { $0.hasSuffix("\n") }
        guard let pid = pid_t(line.trimmingCharacters(in: .newlines)) else {
            close(lifeline.writing)
            throw DeadlinePassed("redis-server on port \(port): \(line)")
        }
        running.withLock { $0 = Running(pid: pid, shell: shell, lifeline: lifeline.writing) }
    }

    /// Ends it in order.
    package func stop() async throws {
        guard pid != nil else { return }
        resume()
        // By command: a child of a thread that blocks its signals, as the tasks' threads do, has SIGTERM blocked too.
        guard let socket = try? RawSocket(port: port) else { return await kill() }
        socket.write((password.map { RESPCommand.encode("AUTH", $0) } ?? []) + RESPCommand.encode("SHUTDOWN", "NOSAVE"))
        _ = await socket.readToEnd()
        await kill()
    }

    /// `kill -9`, and returns when it is gone.
    package func kill() async {
        guard let server = running.withLock({ $0.take() }) else { return }
        Glibc.kill(server.pid, SIGKILL)
        close(server.lifeline)
        // The shell ends after its server.
        _ = await server.shell.end()
        unlink("/tmp/\(snapshot)")
    }

    /// SIGSTOP: its sockets stay open and answer nothing.
    package func pause() {
        if let pid { Glibc.kill(pid, SIGSTOP) }
    }

    package func resume() {
        if let pid { Glibc.kill(pid, SIGCONT) }
    }

    // MARK: By hand

    /// One command on a connection of its own, as `redis-cli` sends it.
    @discardableResult
    package func command(_ arguments: String...) async throws -> RESPValue {
        let login = password.map { RESPCommand.encode("AUTH", $0) } ?? []
        let socket = try RawSocket(port: port)
        let wanted = login.isEmpty ? 1 : 2
        let replies = await Self.onThread {
            socket.write(login + RESPCommand.encode(arguments))
            return Self.replies(wanted, from: socket)
        }
        guard let reply = replies.last, replies.count == wanted else { throw DeadlinePassed("an answer to \(arguments)") }
        return reply
    }

    private static func replies(_ count: Int, from socket: RawSocket) -> [RESPValue] {
        guard let reader = RESPReader() else { return [] }
        var replies: [RESPValue] = []
        while replies.count < count, case let bytes = socket.read(), !bytes.isEmpty {
            guard (try? reader.feed(bytes.span)) != nil else { return replies }
            while let reply = try? reader.next() { replies.append(reply) }
        }
        return replies
    }

    /// Blocking calls stay off the threads that all tasks share.
    private static func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: body()) }
        }
    }
}
