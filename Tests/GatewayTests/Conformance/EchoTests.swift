// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Reactor
import TestSupport
import Testing
import Wire

/// The echo for conformance suites.
@Suite struct EchoTests {
    private static func withEcho(_ body: (GatewayFixture) async throws -> Void) async throws {
        try await GatewayFixture.with(configure: { $0.echoes = true }, body)
    }

    @Test(arguments: [false, true])
    func messagesComeBack(isDeflated: Bool) async throws {
        try await Self.withEcho { gateway in
            let client = try await gateway.connect(token: nil) { $0.offersDeflate = isDeflated }
            let texts = ["", "Hello", String(repeating: "κόσμε ", count: 20_000), String(repeating: "x", count: 3 << 20)]
            for text in texts { client.send(text) }
            let messages = try await client.until("the echoes") { $0.count == texts.count }
            #expect(messages == texts)
            client.perform { $0.send(.binary, [0x61, 0x62]) }
            try await client.until("a binary echo") { $0.last == "ab" }
            client.close(3_000)
            #expect(try await client.end() == .closed(3_000, ""))
        }
    }

    @Test func thereIsALimit() async throws {
        try await Self.withEcho { gateway in
            let client = try await gateway.connect(token: nil)
            _ = try await client.events.until("the upgrade") { !$0.isEmpty }
            // Announced only: 64 MiB and a byte.
            client.send(raw: [0x82, 0xFF, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 0])
            guard case .closed(1009, _) = try await client.end() else {
                Issue.record("more than the limit is taken")
                return
            }
        }
    }

    /// Who sends without reading is not read any further, whatever he sends.
    @Test func aSlowReaderIsNotRead() async throws {
        try await Self.withEcho { gateway in
            let client = try await gateway.connect(token: nil)
            _ = try await client.events.until("the upgrade") { !$0.isEmpty }
            client.pauseReading()
            let block = [UInt8](repeating: 0x61, count: 1 << 20)
            let count = 48
            let refused = Events<Int>()
            client.perform { connection in
                for _ in 0..<count { connection.send(.binary, block) }
                refused.emit(connection.connection.pendingBytes)
            }
            let waiting = try await refused.first("the writes")
            // The kernel's buffers hold some MiB in each direction; the rest is still the client's.
            #expect(waiting > 16 << 20)
            client.resumeReading()
            try await client.until("all of it") { $0.count == count }
            #expect(client.messages.allSatisfy { $0.utf8.count == 1 << 20 })
        }
    }

    @Test func theDrainEndsIt() async throws {
        try await Self.withEcho { gateway in
            let client = try await gateway.connect(token: nil)
            _ = try await client.events.until("the upgrade") { !$0.isEmpty }
            await gateway.service.drain()
            #expect(try await client.end() == .closed(1012, "drain"))
        }
    }

    @Test func nobodyWatchesThere() async throws {
        try await Self.withEcho { gateway in
            let answer = try await PlainHTTP(port: gateway.port).call("GET", "/v1/watch")
            #expect(answer.status == 426)
        }
    }
}
