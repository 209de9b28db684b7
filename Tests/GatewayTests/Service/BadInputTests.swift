// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Store
import TestSupport
import Testing
import Wire

/// Whatever a client sends, it gets its documented answer, and the others don't notice.
@Suite struct BadInputTests {
    private func frame(_ first: UInt8, _ second: UInt8, _ rest: [UInt8] = []) -> [UInt8] { [first, second] + rest }

    @Test func brokenFramesGetTheirCloseCodes() async throws {
        try await GatewayFixture.with { gateway in
            let healthy = try await gateway.watch()
            var tooBig: [UInt8] = []
            WebSocketFrame.appendHeader(.text, payload: 64 * 1024 + 1, mask: 7, to: &tooBig)
            var fragment: [UInt8] = []
            WebSocketFrame.append(.text, Array("{".utf8), isFinal: false, mask: 7, to: &fragment)
            WebSocketFrame.append(.text, Array("}".utf8), mask: 7, to: &fragment)
            var badText: [UInt8] = []
            WebSocketFrame.append(.text, [0xC3, 0x28], mask: 7, to: &badText)
            var binary: [UInt8] = []
            WebSocketFrame.append(.binary, [1, 2, 3], mask: 7, to: &binary)
            var badClose: [UInt8] = []
            WebSocketFrame.append(.close, [3], mask: 7, to: &badClose)
            let cases: [(String, [UInt8], UInt16)] = [
                ("unmasked", frame(0x81, 0x02, Array("{}".utf8)), 1002),
                ("reserved bit", frame(0xC1, 0x80, [0, 0, 0, 0]), 1002),
                ("reserved opcode", frame(0x83, 0x80, [0, 0, 0, 0]), 1002),
                ("long control", frame(0x89, 0xFE, [0, 200]), 1002),
                ("fragmented control", frame(0x09, 0x80, [0, 0, 0, 0]), 1002),
                ("lone continuation", frame(0x80, 0x80, [0, 0, 0, 0]), 1002),
                ("message inside a message", fragment, 1002),
                ("one byte of close", badClose, 1002),
                ("text that is no UTF-8", badText, 1007),
                ("too big", tooBig, 1009),
                ("binary", binary, 1003),
            ]
            for (name, bytes, code) in cases {
                let client = try await gateway.connect("?environment=acme/web/production")
                _ = try await client.message("snapshot")
                client.send(raw: bytes)
                let end = try await client.end()
                guard case .closed(let got, _) = end else {
                    Issue.record("\(name): \(end)")
                    continue
                }
                #expect(got == code, "\(name)")
            }
            try await gateway.commit(.set("A", "1"))
            let values = try await healthy.values(at: 1)
            #expect(values == ["A": "1"])
            let left = try await eventually("the others' end") { gateway.service.connections == 1 ? 1 : nil }
            #expect(left == 1)
        }
    }

    @Test func badMessagesAreExplained() async throws {
        try await GatewayFixture.with { gateway in
            for text in [
                "nonsense", "[]", #"{"type":"dance"}"#, #"{"type":"subscribe"}"#, "{\"type\":\"authenticate\",\"token\":\"a\u{0}b\"}",
            ] {
                let client = try await gateway.connect()
                client.send(text)
                let end = try await client.end()
                guard case .closed(4400, _) = end else {
                    Issue.record("\(text): \(end)")
                    continue
                }
                let explanation = try await client.message("error")
                #expect(explanation.hasPrefix(#"{"type":"error","code":"bad_message""#))
            }
            let client = try await gateway.connect()
            client.send(#"{"type":"subscribe","id":7,"environment":"acme"}"#)
            let refusal = try await client.message("error")
            #expect(refusal.contains(#""code":"invalid""#))
            #expect(refusal.contains(#""id":7"#))
            for _ in 0..<101 { client.send(#"{"type":"unsubscribe","environment":"x"}"#) }
            for _ in 0..<101 { client.send(#"{"type":"unsubscribe","environment":"x"}"#) }
            guard case .closed(4429, _) = try await client.end() else {
                Issue.record("202 messages at once were taken")
                return
            }
        }
    }

    @Test func fragmentsAndPingsInBetweenAreFine() async throws {
        try await GatewayFixture.with { gateway in
            let client = try await gateway.connect()
            let text = Array(#"{"type":"subscribe","id":1,"environment":"acme/web/production"}"#.utf8)
            client.perform { connection in
                connection.send(.text, Array(text[..<10]), isFinal: false)
                connection.send(.ping, Array("between".utf8))
                connection.send(.continuation, Array(text[10..<40]), isFinal: false)
                connection.send(.continuation, Array(text[40...]))
            }
            _ = try await client.message("snapshot")
        }
    }

    @Test func heads() async throws {
        try await GatewayFixture.with { gateway in
            let cases: [(String, Int)] = [
                ("\u{1}\u{2}garbage instead of HTTP\r\n\r\n", 400),
                ("GET /v1/watch HTTP/1.1\r\n\r\n", 400),
                ("GET /v1/watch HTTP/2.0\r\nHost: x\r\n\r\n", 505),
                ("GET /v1/watch HTTP/1.1\r\nHost: x\r\nX-Long: " + String(repeating: "x", count: 100 * 1024) + "\r\n\r\n", 431),
            ]
            for (request, status) in cases {
                let socket = try RawSocket(port: gateway.port)
                socket.write(request)
                socket.finishSending()
                let bytes = await socket.readToEnd()
                #expect(PlainAnswer(bytes)?.status == status, "\(request.prefix(20))")
                #expect(PlainAnswer(bytes)?.fields["content-type"] == "application/problem+json")
            }
            let watcher = try await gateway.watch()
            try await gateway.commit(.set("A", "1"))
            try await watcher.values(at: 1)
        }
    }

    /// Anything may be published by hand: it is a reason to look, never a value.
    @Test func foreignMessagesOnRedisAreNeverBelieved() async throws {
        try await GatewayFixture.with { gateway in
            let watcher = try await gateway.watch()
            let id = gateway.environment.id.uuidString.lowercased()
            let before = gateway.source.counts.heads
            let forged = [
                #"{"environmentId":"\#(id)","name":"EVIL","value":"x","isSecret":false}"#,
                #"{"environmentId":"\#(id)","name":"EVIL","value":"x","isSecret":false,"op":"set","revision":1,"version":1,"first":1,"last":1,"mark":"00000000","at":"2026-01-01T00:00:00.000Z","by":"root","mac":"AAAA"}"#,
                "not json", "", "{}", String(repeating: "x", count: 200_000),
            ]
            for text in forged { _ = try await gateway.redis.command("PUBLISH", "change-notifier", text) }
            for text in forged { _ = try await gateway.redis.command("PUBLISH", "change-notifier:control", text) }
            let heads = try await eventually("a comparison") { gateway.source.counts.heads > before ? gateway.source.counts.heads : nil }
            #expect(heads > before)
            // A change that nobody announced is found by the look that the four-field form causes.
            try await gateway.commit(.set("A", "1"), quietly: true)
            _ = try await gateway.redis.command("PUBLISH", "change-notifier", forged[0])
            let values = try await watcher.values(at: 1, within: .seconds(4))
            #expect(values == ["A": "1"])
            #expect(!watcher.client.messages.joined().contains("EVIL"))
        }
    }
}
