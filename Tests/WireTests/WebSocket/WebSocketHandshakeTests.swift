// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct WebSocketHandshakeTests {
    static let key = "dGhlIHNhbXBsZSBub25jZQ=="
    static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    private static func request(_ change: [String: String?] = [:], line: String = "GET /v1/watch?x=1 HTTP/1.1") -> [UInt8] {
        var fields: [(String, String?)] = [
            ("Host", "a"), ("Upgrade", "websocket"), ("Connection", "keep-alive, Upgrade"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", key),
        ]
        for (name, value) in change {
            if let index = fields.firstIndex(where: { $0.0 == name }) { fields[index].1 = value } else { fields.append((name, value)) }
        }
        let lines = fields.compactMap { name, value in value.map { "\(name): \($0)\r\n" } }
        return [UInt8]("\(line)\r\n\(lines.joined())\r\n".utf8)
    }

    private func check(_ bytes: [UInt8]) throws -> WebSocketHandshake.Upgrade {
        var parser = RequestHeadParser()
        guard case .complete = try parser.parse(bytes) else { throw HTTPFault.badRequestLine }
        return try WebSocketHandshake.check(parser.head, in: bytes.span)
    }

    @Test func acceptsTheSampleOfTheStandard() throws {
        let bytes = Self.request()
        let upgrade = try check(bytes)
        #expect(upgrade.accept == Self.accept && bytes.text(upgrade.key) == Self.key)
        #expect(
            String(decoding: WebSocketHandshake.response(accept: upgrade.accept, subprotocol: "keyvane.v1"), as: UTF8.self)
                == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(Self.accept)\r\nSec-WebSocket-Protocol: keyvane.v1\r\n\r\n"
        )
    }

    @Test(
        arguments: [
            (request(["Upgrade": nil]), HTTPFault.notWebSocket), (request(["Upgrade": "web"]), .notWebSocket),
            (request(["Connection": "close"]), .notWebSocket), (request(["Connection": nil]), .notWebSocket),
            (request(line: "POST / HTTP/1.1"), .badWebSocketRequest), (request(line: "GET / HTTP/1.0"), .badWebSocketRequest),
            (request(["Content-Length": "1"]), .badWebSocketRequest), (request(["Transfer-Encoding": "chunked"]), .badWebSocketRequest),
            (request(["Sec-WebSocket-Version": "8"]), .unsupportedWebSocketVersion),
            (request(["Sec-WebSocket-Version": "13, 8"]), .unsupportedWebSocketVersion),
            (request(["Sec-WebSocket-Version": "013"]), .unsupportedWebSocketVersion),
            (request(["Sec-WebSocket-Version": nil]), .unsupportedWebSocketVersion),
            (request(["sec-websocket-version": "13"]), .unsupportedWebSocketVersion),
            (request(["Sec-WebSocket-Key": nil]), .badWebSocketKey), (request(["Sec-WebSocket-Key": ""]), .badWebSocketKey),
            (request(["sec-websocket-key": key]), .badWebSocketKey),
            (request(["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ="]), .badWebSocketKey),
            (request(["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZTEx"]), .badWebSocketKey),
            (request(["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j!Q=="]), .badWebSocketKey),
            (request(["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==,"]), .badWebSocketKey),
        ]
    )
    func refuses(bytes: [UInt8], fault: HTTPFault) {
        #expect(throws: fault) { try check(bytes) }
    }

    @Test func anEmptyBodyIsNoBody() throws {
        #expect(try check(Self.request(["Content-Length": "0"])).accept == Self.accept)
    }

    @Test func theWrongVersionIsToldTheRightOne() {
        let refusal = WebSocketHandshake.refusal(of: .unsupportedWebSocketVersion, keepAlive: false)
        guard case .response(let head) = responseOutcome(refusal) else {
            Issue.record("the refusal does not parse")
            return
        }
        #expect(head.status == 426 && head.fields.contains("Sec-WebSocket-Version=13"))
        guard case .response(let other) = responseOutcome(WebSocketHandshake.refusal(of: .badWebSocketKey, keepAlive: true)) else {
            Issue.record("the refusal does not parse")
            return
        }
        #expect(other.status == 400 && !other.fields.contains("Sec-WebSocket-Version=13"))
    }

    @Test(
        arguments: [
            ("keyvane.v1", "keyvane.v1"), ("a, keyvane.v1", "keyvane.v1"), ("keyvane.v0, keyvane.v1", "keyvane.v0"), ("KEYVANE.V1", nil),
            ("a", nil), ("", nil),
        ] as [(String, String?)]
    )
    func choosesTheClientsFirst(offer: String, chosen: String?) throws {
        let bytes = Self.request(["Sec-WebSocket-Protocol": offer])
        var parser = RequestHeadParser()
        _ = try parser.parse(bytes)
        let choice = WebSocketHandshake.subprotocol(of: parser.head, in: bytes.span, supported: ["keyvane.v1", "keyvane.v0"])
        #expect(choice == chosen)
    }

    @Test func clientAndServerAgree() throws {
        let key = WebSocketHandshake.key((0x0102_0304_0506_0708, 0x090A_0B0C_0D0E_0F10))
        #expect(key == "AQIDBAUGBwgJCgsMDQ4PEA==")
        let request = WebSocketHandshake.request(
            target: "/v1/watch",
            host: "a:80",
            key: key,
            subprotocols: ["x", "y"],
            extraFields: [("Authorization", "Bearer t")]
        )
        let upgrade = try check(request)
        let answer = WebSocketHandshake.response(accept: upgrade.accept, subprotocol: "y", extraFields: [("Set-Cookie", "K=1")])
        #expect(try verify(answer, key: key, offered: ["x", "y"]) == "y")
        #expect(throws: HTTPFault.badWebSocketAnswer) { try verify(answer, key: key, offered: ["x"]) }
        #expect(throws: HTTPFault.badWebSocketAnswer) { try verify(answer, key: Self.key, offered: ["y"]) }
        #expect(try verify(WebSocketHandshake.response(accept: upgrade.accept), key: key, offered: ["x"]) == nil)
    }

    private func verify(_ answer: [UInt8], key: String, offered: [String] = []) throws -> String? {
        var parser = ResponseHeadParser()
        guard case .complete = try parser.parse(answer) else { throw HTTPFault.badStatusLine }
        return try WebSocketHandshake.verify(parser.head, in: answer.span, key: key, offered: offered)
    }

    @Test(
        arguments: [
            "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\n",
            "HTTP/1.0 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\n",
            "HTTP/1.1 101 X\r\nUpgrade: foo\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\n",
            "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\n",
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: \(accept)\r\n",
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\(accept)\r\n",
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\nSec-WebSocket-Accept: \(accept)\r\n",
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\nSec-WebSocket-Extensions: x\r\n",
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\nSec-WebSocket-Protocol: x\r\n",
        ]
    )
    func refusesAnswers(head: String) {
        #expect(throws: HTTPFault.badWebSocketAnswer) { try verify([UInt8]((head + "\r\n").utf8), key: Self.key) }
    }

    /// Keys of other lengths only serve to cross the block boundaries of SHA-1 (55, 56, 64 bytes with the identifier).
    @Test(
        arguments: [
            (0, "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w="), (19, "yzaGyu0mcUukN7CdsSwa30tnCpc="), (20, "dUYRM7bOMwDmbriNIPr11x+r3E0="),
            (27, "NCEiOv6lMC9mC8oEZnneqRdJ4DU="), (28, "xMWmCBqYJY4uXzUs8PNU1t+Pzro="), (29, "m8kT+K/C9sp8j44+NnEexy4o+Tg="),
            (92, "QozTWdJkJ6Mr6+QwqAHt8yNpBdc="), (200, "W7nwfYCuwcatB7HT3divf5cVU2A="),
        ]
    )
    func acceptOfAnyLength(count: Int, accept: String) {
        #expect(WebSocketHandshake.accept(for: [UInt8](repeating: 0x61, count: count).span) == accept)
    }
}
