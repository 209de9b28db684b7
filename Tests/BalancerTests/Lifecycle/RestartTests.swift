// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Logging
import Reactor
import Synchronization
import TestSupport
import Testing

/// A successor takes over the address while clients connect without a pause.
@Suite(.serialized) struct RestartTests {
    /// Connects and asks, one connection after the other, until it is told to stop. What went wrong is counted.
    private final class Caller: Sendable {
        let asked = Mutex(0)
        let failures = Events<String>()
        private let isOver = Mutex(false)
        private let end = Events<Bool>()

        func stop() async throws {
            isOver.withLock { $0 = true }
            _ = try await end.first()
        }

        func run(_ port: UInt16) async {
            while !isOver.withLock({ $0 }) {
                do {
                    let client = try RawSocket(port: port)
                    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    let text = String(decoding: await client.readToEnd(), as: UTF8.self)
                    if !text.hasPrefix("HTTP/1.1 200 ") { failures.emit("answered '\(text.prefix(60))'") }
                } catch {
                    failures.emit("\(error)")
                }
                asked.withLock { $0 += 1 }
            }
            end.emit(true)
        }
    }

    /// Also with other numbers of loops than before, which is what the kernel counts sockets by.
    @Test(arguments: [(2, 2), (1, 3), (3, 1)])
    func nobodyMeetsAClosedDoor(_ before: Int, _ after: Int) async throws {
        try await BalancerFixture.with(loops: before) { fixture in
            let address = fixture.addresses.listeners[0]
            let port = address.port ?? 0
            let server = ServerConfiguration(name: "web-1", address: try await fixture.backends[0].endpoint)
            var configuration = BalancerConfiguration(
                listeners: [Endpoint(address)],
                pools: [PoolConfiguration(name: "web", servers: [server])]
            )
            configuration.admin = nil
            let callers = (0..<4).map { _ in Caller() }
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for caller in callers { tasks.addTask { await caller.run(port) } }
                let progress: @Sendable (Int) async throws -> Void = { count in
                    let goal = callers.map { $0.asked.withLock { $0 } }.reduce(0, +) + count
                    _ = try await eventually("\(count) more requests") {
                        callers.map { $0.asked.withLock { $0 } }.reduce(0, +) >= goal ? true : nil
                    }
                }
                try await progress(100)
                try await BalancerFixture.run(configuration, loops: after, outer: fixture.outer, backends: []) { successor in
                    #expect(successor.addresses.listeners[0] == address)
                    try await progress(100)
                    await fixture.service.drain()
                    try await progress(100)
                    for caller in callers { try await caller.stop() }
                }
            }
            let failures = callers.flatMap(\.failures.all)
            #expect(failures.isEmpty, "\(failures)")
        }
    }
}
