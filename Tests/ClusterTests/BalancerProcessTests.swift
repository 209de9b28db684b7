// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    /// `keyvane balancer` as a process: its file, its signals, the registry.
    @Suite struct BalancerProcessTests {
        /// A file with one listener for each port, and a server that isn't there.
        private static func text(ports: [UInt16], _ more: String = "") -> String {
            "listeners: [\(ports.map { "'127.0.0.1:\($0)'" }.joined(separator: ", "))]\nadmin: off\n"
                + "pools: { web: { servers: ['127.0.0.1:1'] } }\n\(more)\n"
        }

        @Test func checkConfigNamesEveryFault() async throws {
            try await ProcessBench.with { bench in
                try bench.write("listeners: [':0']\npools:\n  web: { servers: ['h:1'], panik: on }\nlimits: { connect: 5 }\n")
                let faulty = try await DevProcess.run(["balancer", "--config", bench.file, "--check-config"])
                #expect(faulty.exit == .code(1))
                #expect(faulty.output.contains("balancer.yaml:3: pools.web.panik: unknown key; did you mean 'panic'?"))
                #expect(faulty.output.contains("balancer.yaml:4: limits.connect: '5' is no duration") && faulty.output.contains("2 faults"))
                try bench.write(Self.text(ports: [0]))
                let good = try await DevProcess.run(["balancer", "--config", bench.file, "--check-config"])
                #expect(good.exit == .code(0) && good.output.contains("is good"))
                let both = try await DevProcess.run(["balancer", "--config", bench.file, "--listen", ":1", "--pool", "a=h:1"])
                #expect(both.exit == .code(2) && both.output.contains("--listen, --pool"))
            }
        }

        @Test func theFileIsReadAgainOnHangupAndWhenItChanges() async throws {
            try await ProcessBench.with { bench in
                let ports = try (0..<3).map { _ in try freePort() }
                try bench.write(Self.text(ports: [ports[0]]))
                let process = try await bench.start(["balancer", "--config", bench.file])
                try await bench.until("/livez", ports[0])
                try bench.write(Self.text(ports: [ports[0], ports[1]]))
                process.signal(SIGHUP)
                try await bench.until("/livez", ports[1])
                try bench.write(Self.text(ports: [ports[0], ports[2]]))
                try await bench.until("/livez", ports[2])
                try bench.write(Self.text(ports: [ports[0]], "limts: {}"))
                _ = try await eventually("the fault in the log") { bench.output.contains("limts: unknown key") ? true : nil }
                try await bench.until("/livez", ports[2])
                try await bench.stop(process)
            }
        }

        @Test(.enabled(if: getuid() == 0)) func rootsRightsEndOnEveryThread() async throws {
            try await ProcessBench.with { bench in
                let port = try freePort()
                try bench.write(Self.text(ports: [port], "user: nobody"))
                chmod(bench.folder, 0o755)
                chmod(bench.file, 0o644)
                let process = try await bench.start(["balancer", "--config", bench.file])
                try await bench.until("/livez", port)
                let nobody = try #require(getpwnam("nobody")).pointee.pw_uid
                for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.pid)/task") {
                    let status = try String(contentsOfFile: "/proc/\(process.pid)/task/\(thread)/status", encoding: .utf8)
                    let line = status.split(separator: "\n").first { $0.hasPrefix("Uid:") }?.dropFirst(4) ?? ""
                    #expect(line.split(separator: "\t").map(String.init) == Array(repeating: String(nobody), count: 4))
                }
                try await bench.stop(process)
            }
        }

        @Test func aSuccessorTakesUnixSocketsWithoutARefusedConnection() async throws {
            try await ProcessBench.with { bench in
                let backend = try await EchoBackend.start("web", on: bench.loop)
                let (web, admin) = ("\(bench.folder)/web.sock", "\(bench.folder)/admin.sock")
                try bench.write(
                    "listeners: ['unix:\(web)']\nadmin: { bind: off, socket: \(admin) }\n"
                        + "pools: { web: { servers: ['127.0.0.1:\(backend.port)'] } }\n"
                )
                @Sendable func say(_ text: String, to path: String) async throws -> String {
                    let socket = try RawSocket(path: path)
                    socket.write(text)
                    return String(decoding: await socket.readToEnd(), as: UTF8.self)
                }
                @Sendable func untilServed(by process: DevProcess) async throws {
                    _ = try await eventually("the sockets of \(process.pid)") {
                        (try? await say("show info\n", to: admin))?.contains("\nPid: \(process.pid)\n") == true ? true : nil
                    }
                }
                let (answers, isOver) = (Events<String>(), Events<Bool>())
                let first = try await bench.start(["balancer", "--config", bench.file])
                try await untilServed(by: first)
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    defer { isOver.emit(true) }
                    tasks.addTask {
                        while isOver.all.isEmpty {
                            let answer = try? await say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", to: web)
                            answers.emit(answer.map { $0.hasPrefix("HTTP/1.1 200 ") ? "200" : $0 } ?? "refused")
                        }
                    }
                    func progress() async throws {
                        let count = answers.all.count
                        try await answers.until("100 more requests") { $0.count > count + 100 }
                    }
                    try await progress()
                    let second = try await bench.start(["balancer", "--config", bench.file])
                    try await untilServed(by: second)
                    try await progress()
                    try await bench.stop(first)
                    try await progress()
                    try await untilServed(by: second)
                    isOver.emit(true)
                    try await tasks.waitForAll()
                    #expect(Set(answers.all) == ["200"])
                    try await bench.stop(second)
                    #expect(try FileManager.default.contentsOfDirectory(atPath: bench.folder).filter { $0.contains(".sock") }.isEmpty)
                }
            }
        }

        @Test func instancesOfTheRegistryGetTraffic() async throws {
            try await ProcessBench.with { bench in
                try await withRedis { redis in
                    let port = try freePort()
                    let admin = try freePort()
                    let process = try await bench.start(
                        ["balancer", "--listen", "127.0.0.1:\(port)", "--admin", "127.0.0.1:\(admin)", "--cluster", "blue"],
                        environment: ["KEYVANE_DISCOVER": redis.url]
                    )
                    try await bench.until("/livez", port)
                    // Gateways without a database are not ready; the registry is told what a ready one would tell it.
                    let (tap, own) = (try RedisTap(redis.url), try freePort())
                    let other = try await bench.start([
                        "balancer", "--listen", "127.0.0.1:\(own)", "--pool", "web=127.0.0.1:1", "--admin", "127.0.0.1:0",
                    ])
                    try await bench.until("/livez", own)
                    @Sendable func register(_ state: String) throws {
                        let record =
                            #"{"role":"api","name":"a1","address":"127.0.0.1:\#(own)","state":"\#(state)","version":"1","connections":0,"startedAt":"2026-01-01T00:00:00Z"}"#
                        _ = try tap.command("SET", "blue:instances:api:a1", record)
                        _ = try tap.command("ZADD", "blue:instances", "1", "api:a1")
                    }
                    @Sendable func servers() async -> String {
                        (try? await PlainHTTP(port: admin).call("GET", "/v1/servers"))?.text ?? ""
                    }
                    try register("ready")
                    _ = try await eventually("the instance") { await servers().contains("\"a1\"") ? true : nil }
                    try register("draining")
                    _ = try await eventually("its drain") { await servers().contains("\"draining\"") ? true : nil }
                    // Redis away takes nobody with it.
                    try await redis.stop()
                    try await redis.start()
                    #expect(await servers().contains("\"a1\""))
                    try await bench.stop(other)
                    try await bench.stop(process)
                }
            }
        }
    }
}
