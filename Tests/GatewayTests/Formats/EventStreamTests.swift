// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Notifier
import Store
import TestSupport
import Testing

/// Watching by Server-Sent Events.
@Suite struct EventStreamTests {
    private static let target = "/v1/watch?environment=acme/web/production"

    private func open(
        _ gateway: GatewayFixture,
        _ parameters: String = "",
        token: String = GatewayFixture.rootToken,
        _ fields: [(String, String)] = []
    ) async throws -> EventStream {
        let stream = try await EventStream(port: gateway.port, Self.target + parameters, [("Authorization", "Bearer \(token)")] + fields)
        #expect(stream.head.status == 200)
        #expect(stream.head.fields["content-type"] == "text/event-stream; charset=utf-8")
        #expect(stream.head.fields["cache-control"] == "no-store")
        return stream
    }

    private func values(_ stream: EventStream, at revision: Int64, since start: Int64? = nil) async throws -> [String: String] {
        try await stream.events.until("revision \(revision)") { $0.contains { $0.id?.hasPrefix("\(revision)-") == true } }
        return try Watcher.state(Watcher.frames(stream.messages), since: start)
    }

    @Test func namesAreTypesAndIdsAreCursors() async throws {
        try await GatewayFixture.with { gateway in
            try await gateway.commit(.set("A", "line\nbreak"))
            let stream = try await open(gateway)
            #expect(try await values(stream, at: 1) == ["A": "line\nbreak"])
            try await gateway.commit(.set("B", "2"), .delete("A"))
            #expect(try await values(stream, at: 3) == ["B": "2"])
            let names = stream.events.all.map(\.name).filter { $0 != "heartbeat" }
            #expect(names == ["ready", "subscribed", "snapshot", "changes"])
            let watcher = try await gateway.watch()
            for event in stream.events.all where event.id != nil && event.name != "heartbeat" {
                #expect(event.data.contains(#""cursor":"\#(event.id ?? "")""#))
            }
            #expect(watcher.frames.last?.cursor == stream.events.all.last?.id)
        }
    }

    @Test func aBrowserGoesOnWhereItWas() async throws {
        try await GatewayFixture.with { gateway in
            for index in 1...5 { try await gateway.commit(.set("A", "\(index)"), .set("B\(index)", "x")) }
            let first = try await open(gateway)
            _ = try await values(first, at: 10)
            let last = try #require(first.events.all.last?.id)
            first.close()
            try await gateway.commit(.set("A", "6"))
            // The URL still says what it said; the header wins.
            let second = try await open(gateway, "&since=3", [("Last-Event-ID", last)])
            #expect(try await values(second, at: 11, since: 10) == ["A": "6"])
            #expect(!second.events.all.contains { $0.name == "snapshot" })
            // A cursor of another history is answered with the state.
            let third = try await open(gateway, "", [("Last-Event-ID", "10-00000000")])
            #expect(try await values(third, at: 11).count == 6)
            let fourth = try await open(gateway, "&since=0")
            #expect(try await values(fourth, at: 11, since: 0)["A"] == "6")
        }
    }

    @Test func heartbeatsMoveTheIdPastWhatNobodySaw() async throws {
        try await GatewayFixture.with(configure: { $0.heartbeat = .milliseconds(160) }) { gateway in
            try await gateway.commit(.set("A", "1"))
            let stream = try await open(gateway, "&names=A")
            _ = try await values(stream, at: 1)
            try await gateway.commit(.set("B", "invisible"))
            try await stream.events.until("a heartbeat behind the change") {
                $0.contains { $0.name == "heartbeat" && $0.id?.hasPrefix("2-") == true }
            }
            #expect(!stream.messages.contains { $0.contains("invisible") })
        }
    }

    @Test func streamsOutliveTheSilenceOfTheirReaders() async throws {
        try await GatewayFixture.with(configure: {
            $0.heartbeat = .milliseconds(160)
            $0.silenceLimit = .seconds(1)
        }) { gateway in
            let stream = try await open(gateway)
            let socket = try await gateway.connect("?environment=acme/web/production", configure: { $0.answersPings = false })
            guard case .closed(1001, _) = try await socket.end() else {
                Issue.record("a silent WebSocket was kept")
                return
            }
            try await gateway.commit(.set("A", "1"))
            #expect(try await values(stream, at: 1) == ["A": "1"])
        }
    }

    @Test func aDrainTellsWhenToComeBackAndARevocationEnds() async throws {
        try await GatewayFixture.with { gateway in
            let token = try await gateway.token()
            let revoked = try await open(gateway, token: token.text)
            let drained = try await open(gateway)
            _ = (try await revoked.first("snapshot"), try await drained.first("snapshot"))
            _ = try await gateway.store.revokeToken(token.record.id, MutationOrigin(actor: "root"))
            try await gateway.publisher.publish(.tokenRevoked(tokenID: token.record.id))
            #expect(try await revoked.first("closing").data.contains(#""reason":"revoked""#))
            _ = try await revoked.first("end of the stream")
            await gateway.service.drain()
            let closing = try await drained.first("closing")
            #expect(closing.data.contains(#""reason":"drain""#) && (0...1000).contains(closing.retry ?? -1))
            _ = try await drained.first("end of the stream")
        }
    }

    @Test func refusals() async throws {
        try await GatewayFixture.with(configure: { $0.origins = .listed(["https://console.example"]) }) { gateway in
            let root = ("Authorization", "Bearer \(GatewayFixture.rootToken)")
            let other = "&environment=acme/web/staging"
            let cases: [(String, [(String, String)], Int)] = [
                ("/v1/watch", [root], 400),
                (Self.target + other, [root], 400),
                (Self.target + "&acks=true", [root], 400),
                (Self.target, [root, ("Last-Event-ID", "yesterday")], 400),
                (Self.target, [], 401),
                (Self.target, [("Authorization", "Bearer wrong")], 401),
                ("/v1/watch?environment=acme/web/nowhere", [root], 404),
                (Self.target, [root, ("Origin", "https://evil.example")], 403),
            ]
            for (target, fields, status) in cases {
                let stream = try await EventStream(port: gateway.port, target, fields)
                #expect(stream.head.status == status, "\(target) \(fields)")
            }
            let page = try await open(gateway, "", [("Origin", "https://console.example")])
            #expect(page.head.fields["access-control-allow-origin"] == "https://console.example")
            let socket = try RawSocket(port: gateway.port)
            socket.write("OPTIONS /v1/watch HTTP/1.1\r\nHost: gate.example\r\nOrigin: https://console.example\r\n\r\n")
            socket.finishSending()
            let preflight = try #require(PlainAnswer(await socket.readToEnd()))
            #expect(preflight.status == 204)
            #expect(preflight.fields["access-control-allow-headers"]?.contains("Authorization") == true)
        }
    }

    /// Regression: what came behind a preflight as its body was taken for the next request.
    @Test func aPreflightsBodyIsNoRequest() async throws {
        try await GatewayFixture.with { gateway in
            func ask(_ fields: String, _ body: String = "") async throws -> String {
                let socket = try RawSocket(port: gateway.port)
                socket.write("OPTIONS /v1/watch HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\n\(fields)\r\n\(body)")
                socket.finishSending()
                return String(decoding: await socket.readToEnd(), as: UTF8.self)
            }
            let inner = "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"
            let smuggled = try await ask("Content-Length: \(inner.utf8.count)\r\n", inner)
            #expect(smuggled.hasPrefix("HTTP/1.1 204 ") && !smuggled.contains("200 OK"))
            // A proxy that keeps no connections has pages behind it, too.
            #expect(try await ask("Connection: close\r\n").hasPrefix("HTTP/1.1 204 "))
        }
    }

    /// Regression: the stream stayed open without a watch, and its reader believed that nothing changed.
    @Test func aStreamThatCannotBeginEnds() async throws {
        try await GatewayFixture.with(configure: { $0.sweepInterval = .seconds(3600) }) { gateway in
            try await gateway.commit(.set("A", "1"))
            let first = try await open(gateway)
            _ = try await values(first, at: 1)
            // The head is known to the feed, so that the answer begins; what is beyond it only PostgreSQL could tell.
            gateway.source.setAway(true)
            let second = try await open(gateway, "", [("Last-Event-ID", "7")])
            #expect(try await second.first("error").data.contains(#""unavailable""#))
            _ = try await second.first("end of the stream")
            gateway.source.setAway(false)
        }
    }

    @Test func aSlowReaderGetsTheNewestState() async throws {
        try await GatewayFixture.with(loops: 1) { gateway in
            let token = "&access_token=\(GatewayFixture.rootToken)"
            let stalled = try await EventStream(port: gateway.port, Self.target + token, [], isPaused: true)
            let healthy = try await gateway.watch()
            let value = String(repeating: "x", count: 60_000)
            for index in 1...200 { try await gateway.commit(.set("BIG_\(index % 4)", value + "\(index)")) }
            _ = try await healthy.values(at: 200)
            // 12 MB were written and the socket took what kernel buffers hold; the rest comes as the newest of each name.
            stalled.resume()
            let state = try await values(stalled, at: 200)
            #expect(state == (try await healthy.values(at: 200)))
            #expect(Watcher.frames(stalled.messages).flatMap { $0.changes ?? [] }.count < 200)
        }
    }
}
