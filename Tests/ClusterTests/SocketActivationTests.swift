// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    /// Sockets that somebody else has bound for a balancer, and what it tells him.
    @Suite struct SocketActivationTests {
        private static func text(port: UInt16, backend: UInt16) -> String {
            "listeners: ['127.0.0.1:\(port)']\nadmin: off\npools: { web: { servers: ['127.0.0.1:\(backend)'] } }\n"
        }

        @Sendable private static func get(_ port: UInt16) async throws -> String {
            let socket = try RawSocket(port: port)
            socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return String(decoding: await socket.readToEnd(), as: UTF8.self)
        }

        @Test func clientsOfABalancerThatIsAwayAreServedWhenItIsBack() async throws {
            try await ProcessBench.with { bench in
                let (backend, held) = (try await EchoBackend.start("web", on: bench.loop), try HeldSocket())
                try bench.write(Self.text(port: held.port, backend: backend.port))
                let early = RawSocketAnswer(try RawSocket(port: held.port))
                let (answers, isOver) = (Events<String>(), Events<Bool>())
                let arguments = held.arguments([DevProcess.program, "balancer", "--config", bench.file])
                var balancer = try await bench.start(arguments, program: "bash")
                #expect(await early.text.hasPrefix("HTTP/1.1 200 "))
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    defer { isOver.emit(true) }
                    for _ in 0..<4 {
                        tasks.addTask {
                            while isOver.all.isEmpty {
                                let answer = try? await Self.get(held.port)
                                answers.emit(answer.map { $0.hasPrefix("HTTP/1.1 200 ") ? "200" : $0 } ?? "refused")
                            }
                        }
                    }
                    for _ in 0..<3 {
                        let count = answers.all.count
                        try await answers.until("100 more requests") { $0.count > count + 100 }
                        try await bench.stop(balancer)
                        balancer = try await bench.start(arguments, program: "bash")
                    }
                    let count = answers.all.count
                    try await answers.until("100 more requests") { $0.count > count + 100 }
                    isOver.emit(true)
                    try await tasks.waitForAll()
                }
                #expect(Set(answers.all) == ["200"])
                try await bench.stop(balancer)
            }
        }

        @Test func aPassedSocketThatNobodyUsesIsNamed() async throws {
            try await ProcessBench.with { bench in
                let held = try HeldSocket()
                try bench.write(Self.text(port: 0, backend: 1))
                let arguments = held.arguments([DevProcess.program, "balancer", "--config", bench.file], name: "stray")
                let refused = try await bench.start(arguments, program: "bash")
                #expect(try await refused.exit(within: .seconds(60)) == .code(1))
                #expect(bench.output.contains("nobody listens on the passed socket 'stray' at 127.0.0.1:\(held.port)"))
                // Neither may a new file forget it.
                try bench.write(Self.text(port: held.port, backend: 1))
                let balancer = try await bench.start(arguments, program: "bash")
                try await bench.until("/livez", held.port)
                try bench.write(Self.text(port: 0, backend: 1))
                _ = try await eventually("the refusal") {
                    bench.output.contains("configuration refused") && bench.output.contains("'stray'") ? true : nil
                }
                try await bench.until("/livez", held.port)
                try await bench.stop(balancer)
            }
        }

        @Test(.enabled(if: access("/usr/bin/systemd-socket-activate", X_OK) == 0))
        func systemdsOwnToolStartsItWithTheFirstClient() async throws {
            try await ProcessBench.with { bench in
                let (backend, port) = (try await EchoBackend.start("web", on: bench.loop), try freePort())
                try bench.write(Self.text(port: port, backend: backend.port))
                let balancer = try await bench.start(
                    ["-l", "127.0.0.1:\(port)", "--fdname=web", DevProcess.program, "balancer", "--config", bench.file],
                    program: "/usr/bin/systemd-socket-activate"
                )
                let answer = try await eventually("an answer") { try? await Self.get(port) }
                #expect(answer.hasPrefix("HTTP/1.1 200 "))
                try await bench.stop(balancer)
            }
        }

        @Test(arguments: ["@keyvane-tests-", "/tmp/keyvane-tests-"]) func aBalancerTellsHowItIs(_ prefix: String) async throws {
            try await ProcessBench.with { bench in
                let ear = try NotifySocket("\(prefix)\(getpid())-\(UUID().uuidString.prefix(8))")
                defer { unlink(ear.path) }
                let port = try freePort()
                try bench.write(Self.text(port: port, backend: 1))
                let balancer = try await bench.start(
                    ["balancer", "--config", bench.file],
                    environment: ["NOTIFY_SOCKET": ear.path, "WATCHDOG_USEC": "600000"]
                )
                try await ear.hears("READY=1")
                // Only now: whoever asks then is answered.
                #expect(try await PlainHTTP(port: port).call("GET", "/livez").status == 200)
                try await ear.hears("WATCHDOG=1", times: 3)
                balancer.signal(SIGHUP)
                try await ear.hears("READY=1", times: 2)
                let reload = ear.lines.filter { $0 != "WATCHDOG=1" }
                #expect(reload == ["READY=1", "RELOADING=1", "READY=1"])
                #expect(ear.messages.all.contains { $0.contains("\nMONOTONIC_USEC=") })
                try await bench.stop(balancer)
                try await ear.hears("STOPPING=1")
            }
        }
    }
}

/// What comes on a socket to the first request on it, sent at once.
private struct RawSocketAnswer {
    private let task: Task<String, Never>

    init(_ socket: RawSocket) {
        socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        // Awaited by `text`.
        task = Task { String(decoding: await socket.readToEnd(), as: UTF8.self) }
    }

    var text: String {
        get async { await task.value }
    }
}
