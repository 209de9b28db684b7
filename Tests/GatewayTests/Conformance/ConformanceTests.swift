// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import TestSupport
import Testing
import Wire

/// Every rule of RFC 6455 that a server can break, from raw bytes against the real endpoint.
@Suite struct ConformanceTests {
    private static func breaches(_ rules: [WebSocketRule], at endpoint: WebSocketRule.Endpoint, pieces: Int = 1) async throws -> [String] {
        var breaches: [String] = []
        // A few at a time: each takes a thread.
        for start in stride(from: 0, to: rules.count, by: 8) {
            try await withThrowingTaskGroup(of: String?.self) { group in
                for rule in rules[start..<min(start + 8, rules.count)] {
                    group.addTask {
                        try await rule.breach(at: endpoint, pieces: pieces).map { "\(rule.name) (\(rule.section)): \($0)" }
                    }
                }
                for try await breach in group { if let breach { breaches.append(breach) } }
            }
        }
        return breaches
    }

    @Test func theWatchHoldsEveryRule() async throws {
        try await GatewayFixture.with { gateway in
            let endpoint = WebSocketRule.Endpoint(port: gateway.port, token: GatewayFixture.rootToken)
            #expect(WebSocketRule.all.count > 150)
            let breaches = try await Self.breaches(WebSocketRule.all, at: endpoint)
            #expect(breaches == [])
        }
    }

    /// The same bytes in many writes.
    @Test func theWatchHoldsThemHoweverTheyAreCut() async throws {
        try await GatewayFixture.with { gateway in
            let endpoint = WebSocketRule.Endpoint(port: gateway.port, token: GatewayFixture.rootToken)
            let breaches = try await Self.breaches(WebSocketRule.all, at: endpoint, pieces: 40)
            #expect(breaches == [])
        }
    }

    @Test func theEchoHoldsEveryRule() async throws {
        try await GatewayFixture.with(configure: { $0.echoes = true }) { gateway in
            let endpoint = WebSocketRule.Endpoint(port: gateway.port, token: nil, isEcho: true)
            let breaches = try await Self.breaches(WebSocketRule.all.filter { !$0.isOfWatch }, at: endpoint)
            #expect(breaches == [])
        }
    }

    @Test func openingHandshakes() async throws {
        try await GatewayFixture.with { gateway in
            for rule in HandshakeRule.all {
                let breach = try await rule.breach(port: gateway.port)
                #expect(breach == nil, "\(rule.name) (\(rule.section))")
            }
        }
    }

    /// A rule that an endpoint breaks is told: the harness itself can fail.
    @Test func theHarnessSeesABreach() async throws {
        try await GatewayFixture.with { gateway in
            // A watch is no echo, so it gives none of the answers that are expected of one.
            let endpoint = WebSocketRule.Endpoint(port: gateway.port, token: GatewayFixture.rootToken, isEcho: true)
            let rules = WebSocketRule.all.filter { $0.replies.contains(.answer) }
            let breaches = try await Self.breaches(rules, at: endpoint)
            #expect(breaches.count == rules.count && rules.count > 40)
        }
    }

    /// A peer that doesn't answer a close frame is not waited for without end.
    @Test func theServerEndsWhatItFailed() async throws {
        try await GatewayFixture.with(configure: {
            $0.closeDeadline = .milliseconds(500)
            $0.heartbeat = .seconds(2)
        }) { gateway in
            let socket = try RawSocket(port: gateway.port)
            socket.write(WebSocketHandshake.request(target: "/v1/watch", host: "a", key: "dGhlIHNhbXBsZSBub25jZQ=="))
            socket.write([0x83, 0x00])
            let bytes = await socket.readToEnd()
            // The close frame is the last that came.
            #expect(bytes.suffix(16).contains(0x03) && String(decoding: bytes, as: UTF8.self).hasSuffix("unknown opcode"))
        }
    }
}
