// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Reactor
import Store
import TestSupport
import Testing

/// Wrong tokens on every way in. A rate of one a second, so that a busy machine earns nothing back meanwhile.
@Suite struct LoginTests {
    private static let upgrade =
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    private static let events = "Accept: text/event-stream\r\n"
    private static let path = "/v1/watch?environment=acme/web/production"

    private func ask(_ gateway: GatewayFixture, token: String, from address: String, _ fields: String) async throws -> PlainAnswer {
        let socket = try RawSocket(port: gateway.port)
        socket.write("GET \(Self.path)&access_token=\(token) HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: \(address)\r\n\(fields)\r\n")
        socket.finishSending()
        guard let answer = PlainAnswer(await socket.readToEnd()) else { throw DeadlinePassed("an answer") }
        return answer
    }

    private func exhaust(_ gateway: GatewayFixture, _ address: String) async throws -> PlainAnswer {
        for number in 0..<200 {
            let answer = try await ask(gateway, token: "wrong\(number)", from: address, number % 2 == 0 ? Self.upgrade : Self.events)
            if answer.status == 429 { return answer }
            #expect(answer.status == 401)
        }
        throw DeadlinePassed("429")
    }

    /// A machine so slow that attempts are earned back meanwhile needs some more of them.
    private func untilLimited(_ attempt: () async throws -> Bool) async throws {
        for _ in 0..<50 {
            if try await attempt() { return }
        }
        throw DeadlinePassed("a refusal for too many")
    }

    @Test func tooManyAre429AndARightOnePasses() async throws {
        let trusted = try #require(AddressRange("127.0.0.0/8"))
        try await GatewayFixture.with(logins: LoginGuard(rate: 1, trustedProxies: [trusted])) { gateway in
            let answer = try await exhaust(gateway, "203.0.113.5")
            #expect(answer.text.contains("\"code\":\"too_many_failed_logins\"") && !answer.text.contains("wrong"))
            #expect((1...2).contains(Int(answer.fields["retry-after"] ?? "") ?? 0))
            // From there a right one passes, and from elsewhere a wrong one is told that it is wrong.
            let client = try await gateway.connect(
                "?environment=acme/web/production",
                fields: [(name: "X-Forwarded-For", value: "203.0.113.5")]
            )
            _ = try await client.message("snapshot")
            #expect(try await ask(gateway, token: "wrong", from: "203.0.113.6", Self.upgrade).status == 401)
            // A token that comes by message has its own way to be told so: come back later.
            let tooMany = WebSocketClientConnection.End.closed(
                4429,
                "the token is not valid, and so were too many others from this address"
            )
            try await untilLimited {
                let late = try await gateway.connect(token: nil, fields: [(name: "X-Forwarded-For", value: "203.0.113.5")])
                late.send(#"{"type":"authenticate","token":"wrong"}"#)
                return try await late.end() == tooMany
            }
            let elsewhere = try await gateway.connect(token: nil, fields: [(name: "X-Forwarded-For", value: "203.0.113.7")])
            elsewhere.send(#"{"type":"authenticate","token":"wrong"}"#)
            #expect(try await elsewhere.end() == .closed(4401, "the token is not valid"))
            // In time it is forgiven.
            _ = try await eventually("401 again") {
                try await ask(gateway, token: "wrong", from: "203.0.113.5", Self.upgrade).status == 401 ? true : nil
            }
        }
    }

    @Test func keyshadesClientsAreTold() async throws {
        try await GatewayFixture.with(logins: LoginGuard(rate: 1)) { gateway in
            _ = try await exhaust(gateway, "203.0.113.5")
            try await untilLimited {
                let socket = try await SocketIOClient(to: gateway, token: "wrong")
                socket.client.send("40/change-notifier,")
                socket.register("production")
                return try await socket.failure().contains("too many others")
            }
            _ = try await SocketIOClient.registered(to: gateway)
        }
    }

    /// What comes in a row with the same wrong token is looked up once a second.
    @Test func theSameTokenIsNotLookedUpAgain() async throws {
        try await GatewayFixture.with(logins: LoginGuard(rate: 1)) { gateway in
            _ = try await exhaust(gateway, "203.0.113.5")
            let before = gateway.source.counts.authentications
            for _ in 0..<50 { _ = try await ask(gateway, token: "old", from: "203.0.113.5", Self.upgrade) }
            #expect(gateway.source.counts.authentications - before < 25)
        }
    }
}
