// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Reactor
import Store
import TestSupport
import Testing

/// Who is let in, and how fast.
@Suite struct AdmissionTests {
    private static let upgrade = [
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]

    /// The status and fields of an upgrade that stays open for as long as the socket is kept.
    private func open(_ gateway: GatewayFixture, token: String) async throws -> (RawSocket, String) {
        let socket = try RawSocket(port: gateway.port)
        let lines = (Self.upgrade + ["Authorization: Bearer \(token)"]).joined(separator: "\r\n")
        socket.write("GET /v1/watch HTTP/1.1\r\nHost: gate.example\r\n\(lines)\r\n\r\n")
        // On a thread of its own: the answer needs the pool that this would stop.
        let answer: [UInt8] = await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: socket.read(limit: 512)) }
        }
        return (socket, String(decoding: answer, as: UTF8.self))
    }

    @Test func aTokenHasItsOwnLimit() async throws {
        try await GatewayFixture.with(configure: { $0.maximumConnectionsPerToken = 2 }) { gateway in
            let token = try await gateway.token()
            let (first, one) = try await open(gateway, token: token.text)
            let (second, two) = try await open(gateway, token: token.text)
            #expect(one.hasPrefix("HTTP/1.1 101 ") && two.hasPrefix("HTTP/1.1 101 "))
            let (_, three) = try await open(gateway, token: token.text)
            #expect(three.hasPrefix("HTTP/1.1 503 ") && three.contains("Retry-After: 1\r\n"))
            // Connect tokens of it are the same credential; others have their own room.
            let child = try await gateway.store.connectToken(of: token.record, grants: nil, lifetime: .seconds(600)).text
            #expect(try await open(gateway, token: child).1.hasPrefix("HTTP/1.1 503 "))
            #expect(try await open(gateway, token: GatewayFixture.rootToken).1.hasPrefix("HTTP/1.1 101 "))
            // By message there is no head any more to refuse with.
            let late = try await gateway.connect(token: nil)
            late.send(#"{"type":"authenticate","token":"\#(token.text)"}"#)
            guard case .closed(1013, _) = try await late.end() else {
                Issue.record("a token got more connections than it may have")
                return
            }
            first.reset()
            _ = try await eventually("the freed place") {
                let (socket, answer) = try await open(gateway, token: token.text)
                return answer.hasPrefix("HTTP/1.1 101 ") ? socket : nil
            }
            second.reset()
        }
    }

    @Test func otherLimitsAreForWhoeverComesNext() async throws {
        try await GatewayFixture.with { gateway in
            let page = "https://page.example"
            @Sendable func status(_ fields: [String] = []) async throws -> (RawSocket, Int) {
                let token = GatewayFixture.rootToken
                let (socket, answer) = try await open(gateway, token: ([token] + fields).joined(separator: "\r\n"))
                return (socket, Int(answer.split(separator: " ").dropFirst().first ?? "") ?? 0)
            }
            let (kept, first) = try await status()
            let (_, foreign) = try await status(["Origin: \(page)"])
            #expect(first == 101 && foreign == 403)
            var configuration = GatewayConfiguration(listen: Endpoint(host: "127.0.0.1", port: 0), name: "gateway-1")
            configuration.origins = .listed([page])
            try gateway.service.configure(configuration)
            // Each loop hears of it in its turn.
            let paged = try await eventually("the page") {
                let (socket, answer) = try await status(["Origin: \(page)"])
                return answer == 101 ? socket : nil
            }
            configuration.maximumConnections = 1
            try gateway.service.configure(configuration)
            #expect(try await status().1 == 503)
            // Who is there stays, though they are more than may come.
            #expect(gateway.service.connections >= 2)
            configuration.maximumConnections = 100
            configuration.maximumConnectionsPerToken = 1
            try gateway.service.configure(configuration)
            #expect(try await status().1 == 503)
            configuration.maximumConnectionsPerToken = nil
            try gateway.service.configure(configuration)
            #expect(try await status().1 == 101)
            withExtendedLifetime((kept, paged)) {}
        }
    }

    @Test func handshakesHaveAPace() async throws {
        try await GatewayFixture.with(loops: 1, configure: { $0.handshakeRate = 20 }) { gateway in
            var refused = 0
            var kept: [RawSocket] = []
            let clock = ContinuousClock()
            let start = clock.now
            while kept.count < 30 {
                let (socket, answer) = try await open(gateway, token: GatewayFixture.rootToken)
                if answer.hasPrefix("HTTP/1.1 101 ") {
                    kept.append(socket)
                } else {
                    refused += 1
                    #expect(answer.hasPrefix("HTTP/1.1 503 ") && answer.contains("Retry-After: 1\r\n"))
                    #expect(answer.contains("too_many_handshakes") || answer.count == 512)
                }
            }
            #expect(refused > 0)
            // 2 at once, and 20 a second after that.
            #expect(clock.now - start > .milliseconds(1300))
            // Health is asked by others than watchers.
            let live = try RawSocket(port: gateway.port)
            live.write("GET /livez HTTP/1.1\r\nHost: g\r\n\r\n")
            #expect(String(decoding: live.read(), as: UTF8.self).hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test func theRateIsEvenAndForgivesIdleTimeOnlyOnce() {
        var rate = HandshakeRate(perSecond: 100)
        var admitted = (0..<50).filter { _ in rate.admit(at: 1000) }.count
        #expect(admitted == 10)
        admitted = (0..<50).filter { _ in rate.admit(at: 1050) }.count
        #expect(admitted == 5)
        admitted = (0..<50).filter { _ in rate.admit(at: 100_000) }.count
        #expect(admitted == 10)
        // A loop's share may be less than one in a tenth of a second.
        var slow = HandshakeRate(perSecond: 1)
        #expect(slow.admit(at: 0) && !slow.admit(at: 500) && slow.admit(at: 1000))
    }

    @Test func acknowledgementsOfEveryFrameAreNotTooMany() async throws {
        try await GatewayFixture.with { gateway in
            let watcher = try await gateway.watch("&acks=true")
            let last = try await gateway.commit(.set("A", "1"))[0].revision
            try await watcher.values(at: last)
            for _ in 0..<1000 {
                watcher.client.send(#"{"type":"ack","environment":"acme/web/production","revision":\#(last),"status":"applied"}"#)
            }
            try await gateway.commit(.set("A", "2"))
            #expect(try await watcher.values(at: last + 1) == ["A": "2"])
            // What nobody promised is counted.
            for _ in 0..<300 {
                watcher.client.send(#"{"type":"ack","environment":"acme/web/other","revision":1,"status":"applied"}"#)
            }
            guard case .closed(4429, _) = try await watcher.client.end() else {
                Issue.record("300 messages a second were taken")
                return
            }
        }
    }
}
