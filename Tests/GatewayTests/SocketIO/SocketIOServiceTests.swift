// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Notifier
import Store
import TestSupport
import Testing
import Wire

/// keyshade's clients over real sockets.
@Suite struct SocketIOServiceTests {
    @Test func openPacketAndNamespaces() async throws {
        try await GatewayFixture.with { gateway in
            let socket = try await SocketIOClient(to: gateway, token: nil)
            try await socket.until("the open packet") { !$0.isEmpty }
            let open = socket.client.messages[0]
            #expect(open.hasPrefix(#"0{"sid":"c-"#))
            #expect(open.hasSuffix(#"","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#))
            socket.client.send("40")
            socket.client.send("40/nowhere,")
            socket.client.send("40/change-notifier,")
            try await socket.until("three answers") { $0.count == 4 }
            let answers = socket.client.messages
            #expect(answers[1].hasPrefix(#"40{"sid":""#) && answers[2] == #"44/nowhere,{"message":"Invalid namespace"}"#)
            #expect(answers[3].hasPrefix(#"40/change-notifier,{"sid":"c-"#))
            socket.register("production")
            #expect(try await socket.failure().contains("x-keyshade-token"))
        }
    }

    @Test func changesArriveOnceAndInOrder() async throws {
        try await GatewayFixture.with { gateway in
            try await gateway.commit(.set("OLD", "0"))
            let socket = try await SocketIOClient.registered(to: gateway)
            // Others may watch in other formats.
            let watcher = try await gateway.watch()
            try await gateway.commit(.set("A", "1"))
            try await gateway.commit(.set("A", "2"), .secret("S", "hush \"quoted\""))
            try await gateway.commit(.delete("A"))
            try await gateway.commit(.set("B", "3"))
            try await watcher.values(at: 6)
            try await socket.untilUpdated("B", "3")
            #expect(
                socket.updates == [
                    // Changed in the last ten minutes: sent again after each registration.
                    SocketIOClient.update("OLD", "0"), SocketIOClient.update("A", "1"), SocketIOClient.update("A", "2"),
                    SocketIOClient.update("S", #"hush \"quoted\""#), SocketIOClient.update("B", "3"),
                ]
            )
        }
    }

    @Test func acknowledgements() async throws {
        try await GatewayFixture.with { gateway in
            let socket = try await SocketIOClient(to: gateway)
            socket.client.send("40/change-notifier,")
            socket.register("production", ackID: "12")
            try await socket.until("both answers") { $0.contains(SocketIOClient.success) }
            let ack = #"43/change-notifier,12[{"success":true,"message":"Registration Successful"}]"#
            #expect(socket.client.messages.contains(ack))
        }
    }

    @Test func registeringAgainReplaces() async throws {
        try await GatewayFixture.with { gateway in
            let staging = try await gateway.makeEnvironment("staging")
            let socket = try await SocketIOClient.registered(to: gateway)
            try await gateway.commit(.set("P", "1"))
            try await socket.untilUpdated("P", "1")
            socket.register("staging")
            try await socket.until("a second registration") { $0.count { $0 == SocketIOClient.success } == 2 }
            try await gateway.commit(.set("P", "2"))
            try await gateway.commit(.set("Q", "1"), to: staging)
            try await socket.untilUpdated("Q", "1")
            // Both feeds are on one loop: what production had to say would have come first.
            #expect(!socket.client.messages.contains(SocketIOClient.update("P", "2")))
        }
    }

    @Test func refusals() async throws {
        try await GatewayFixture.with { gateway in
            let wrong = try await SocketIOClient(to: gateway, token: "wrong-token-0123456789-0123456789-0123456789")
            wrong.client.send("40/change-notifier,")
            wrong.register("production")
            #expect(try await wrong.failure().contains("unknown, revoked or expired"))

            let known = try await SocketIOClient(to: gateway)
            known.client.send("40/change-notifier,")
            known.register("nowhere")
            #expect(try await known.failure().contains("There is no environment acme/web/nowhere"))
            // The socket stays, and may try again.
            known.register("production")
            try await known.until("a registration") { $0.contains(SocketIOClient.success) }

            let token = try await gateway.token([.write])
            let blind = try await SocketIOClient(to: gateway, token: token.text)
            blind.client.send("40/change-notifier,")
            blind.register("production")
            #expect(try await blind.failure().contains("'read'"))
        }
    }

    @Test func secretsNeedTheirPermission() async throws {
        try await GatewayFixture.with { gateway in
            let token = try await gateway.token([.read])
            let socket = try await SocketIOClient.registered(to: gateway, token: token.text)
            let seeing = try await SocketIOClient.registered(to: gateway, token: try await gateway.token().text)
            try await gateway.commit(.secret("S", "hush"))
            try await gateway.commit(.set("A", "1"))
            try await socket.untilUpdated("A", "1")
            try await seeing.untilUpdated("A", "1")
            #expect(socket.updates == [SocketIOClient.update("A", "1")])
            #expect(seeing.updates == [SocketIOClient.update("S", "hush"), SocketIOClient.update("A", "1")])
            _ = try await eventually("the audit row of the one who sees secrets") {
                try await gateway.database.sql("SELECT count(*) FROM keyvane.audit WHERE action = 'watch.subscribe'") == ["1"] ? true : nil
            }
        }
    }

    @Test func aWatcherLikeOthers() async throws {
        try await GatewayFixture.with { gateway in
            let socket = try await SocketIOClient.registered(to: gateway)
            let id = gateway.environment.id.uuidString.lowercased()
            _ = try await eventually("the ledger") { () -> Bool? in
                try await gateway.directory.watchers(of: id).silent == 1 ? true : nil
            }
            socket.client.close()
            #expect(try await socket.client.end() == .closed(1000, ""))
            _ = try await eventually("the ledger") { () -> Bool? in
                try await gateway.directory.watchers(of: id).silent == 0 ? true : nil
            }
        }
    }

    @Test func aRevokedToken() async throws {
        try await GatewayFixture.with(configure: { $0.sweepInterval = .milliseconds(500) }) { gateway in
            let token = try await gateway.token()
            let socket = try await SocketIOClient.registered(to: gateway, token: token.text)
            try await gateway.store.revokeToken(token.record.id, by: "root")
            #expect(try await socket.client.end() == .closed(4401, "the token is revoked"))
            #expect(socket.client.messages.last == "41/change-notifier,")
        }
    }

    @Test func aDeletedEnvironment() async throws {
        try await GatewayFixture.with(configure: { $0.sweepInterval = .milliseconds(500) }) { gateway in
            let socket = try await SocketIOClient.registered(to: gateway)
            try await gateway.database.sql("DELETE FROM keyvane.environment WHERE slug = 'production'")
            #expect(try await socket.client.end() == .closed(4404, "the environment was deleted"))
        }
    }

    @Test func nobodyStaysUnregistered() async throws {
        try await GatewayFixture.with(configure: {
            $0.registrationDeadline = .milliseconds(600)
            $0.heartbeat = .seconds(2)
        }) { gateway in
            let idle = try await SocketIOClient(to: gateway)
            let registered = try await SocketIOClient.registered(to: gateway)
            #expect(try await idle.client.end() == .closed(4408, "no registration in time"))
            try await gateway.commit(.set("A", "1"))
            try await registered.untilUpdated("A", "1")
            // Who leaves the namespace has the same time to come back.
            registered.client.send("41/change-notifier,")
            #expect(try await registered.client.end() == .closed(4408, "no registration in time"))
        }
    }

    @Test func pingsOfTheServer() async throws {
        try await GatewayFixture.with(configure: {
            $0.heartbeat = .milliseconds(800)
            $0.pingInterval = .seconds(1)
            $0.pingTimeout = .seconds(2)
        }) { gateway in
            let silent = try await SocketIOClient.registered(to: gateway)
            let talking = try await SocketIOClient.registered(to: gateway)
            try await silent.until("a ping") { $0.contains("2") }
            // One answers each ping, the other none.
            for count in 1...3 {
                try await talking.until("ping \(count)") { $0.count { $0 == "2" } >= count }
                talking.client.send("3")
            }
            #expect(try await silent.client.end() == .closed(1001, "ping timeout"))
            try await gateway.commit(.set("A", "1"))
            try await talking.untilUpdated("A", "1")
        }
    }

    @Test func aStalledSocketGetsTheNewestValues() async throws {
        try await GatewayFixture.with { gateway in
            let healthy = try await SocketIOClient.registered(to: gateway)
            let stalled = try await SocketIOClient.registered(to: gateway)
            stalled.client.pauseReading()
            let big = String(repeating: "v", count: 60_000)
            for round in 0..<400 { try await gateway.commit(.set("K_\(round % 4)", "\(round) \(big)")) }
            for round in 396..<400 { try await healthy.untilUpdated("K_\(round % 4)", "\(round) \(big)") }
            #expect(healthy.updates.count == 400)
            stalled.client.resumeReading()
            for round in 396..<400 { try await stalled.untilUpdated("K_\(round % 4)", "\(round) \(big)") }
            #expect(stalled.updates.count < 400)
            try await gateway.commit(.set("END", "1"))
            try await stalled.untilUpdated("END", "1")
        }
    }

    @Test func brokenPacketsEndTheSocket() async throws {
        try await GatewayFixture.with { gateway in
            for text in ["", "9", "42[\"a\"]", "40/change-notifier,[]", #"451-["a",{"_placeholder":true,"num":0}]"#] {
                let socket = try await SocketIOClient(to: gateway)
                socket.client.send(text)
                guard case .closed(4400, _) = try await socket.client.end() else {
                    Issue.record("'\(text)' is taken")
                    continue
                }
            }
            let binary = try await SocketIOClient(to: gateway)
            binary.client.perform { $0.send(.binary, [1, 2, 3]) }
            #expect(try await binary.client.end() == .closed(1003, "packets with binary attachments are not accepted"))
        }
    }

    @Test func requestsThatGetNoSession() async throws {
        try await GatewayFixture.with { gateway in
            let cases = [
                ("?EIO=4&transport=polling", 400, #"{"code":0,"message":"This server speaks the transport 'websocket' alone"#),
                ("", 400, #"{"code":0,"#), ("?EIO=3&transport=websocket", 400, #"{"code":5,"#),
                ("?EIO=4&transport=websocket&sid=x", 400, #"{"code":3,"#),
                ("?EIO=4&transport=websocket", 400, #""code":"not_a_websocket_upgrade""#),
            ]
            for (query, status, text) in cases {
                let answer = try await PlainHTTP(port: gateway.port).call("GET", "/socket.io/\(query)")
                #expect(answer.status == status && answer.text.contains(text), "\(query): \(answer.text)")
            }
            let foreign = try await WebSocketClient.connect(
                port: gateway.port,
                SocketIOClient.target,
                fields: [(name: "Origin", value: "https://elsewhere.example")],
                on: gateway.clients
            )
            guard case .refused(403, _) = try await foreign.end() else {
                Issue.record("a page of another origin is let in")
                return
            }
        }
    }

    @Test func theDrainSendsThemAway() async throws {
        try await GatewayFixture.with { gateway in
            let sockets = [try await SocketIOClient.registered(to: gateway), try await SocketIOClient(to: gateway)]
            try await sockets[1].until("the open packet") { !$0.isEmpty }
            await gateway.service.drain()
            for socket in sockets {
                #expect(try await socket.client.end() == .closed(1012, "drain"))
                // The client is to come back: no disconnect packet.
                #expect(!socket.client.messages.contains("41/change-notifier,"))
            }
        }
    }
}
