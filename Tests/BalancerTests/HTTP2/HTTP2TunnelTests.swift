// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// WebSockets over HTTP/2 (RFC 8441).
@Suite struct HTTP2TunnelTests {
    private static func connect(_ path: String = "/socket", _ more: [(String, String)] = []) -> [(String, String)] {
        [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", path), (":authority", "a")]
            + [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")] + more
    }

    @Test func bytesBothWays() async throws {
        try await BalancerFixture.withHTTP2([("api", "api-1")], script: { _, _ in .tunnel(greeting: "hello") }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            // A key of the client's own means nothing here: the answer is checked against ours.
            client.send(.headers(1, Self.connect("/socket", [("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")]), end: false))
            client.send(.data(1, "early"))
            try await client.until("the echo") { $0.messages[1]?.text == "helloearly" }
            let message = try #require(client.messages[1])
            #expect(message.status == "200" && message.value("sec-websocket-accept") == nil && message.value("upgrade") == nil)
            #expect(message.value("set-cookie")?.hasPrefix("KEYVANE_API=") == true)
            let request = try await fixture.backends[0].requests.first()
            #expect(request.method == "GET" && request.target == "/socket" && request.value("upgrade") == "websocket")
            #expect(request.values("sec-websocket-key").count == 1 && request.value("sec-websocket-protocol") == "chat")
            #expect(request.value("sec-websocket-key") != "AAAAAAAAAAAAAAAAAAAAAA==" && request.value("transfer-encoding") == nil)
            // Other streams go on beside it.
            #expect(try await client.get(3, "/livez").status == "200")
            // Half-close there, echo's end back: both sides are finished without a reset.
            client.send(.data(1, "last", end: true))
            let ended = try await client.message(1)
            #expect(ended.text == "helloearlylast" && ended.isEnded && ended.reset == nil)
            try await fixture.untilNothingRuns()
        }
    }

    @Test func largeFrames() async throws {
        try await BalancerFixture.withHTTP2(script: { _, _ in .tunnel() }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            client.send(.headers(1, Self.connect(), end: false))
            try await client.until("the tunnel") { $0.messages[1]?.status == "200" }
            let piece = (0..<16_384).map { UInt8(truncatingIfNeeded: $0 / 7) }
            var sent = 0
            while sent < 128 {
                if client.windows[1, default: 65_535] >= piece.count, client.windows[0, default: 65_535] >= piece.count {
                    client.spend(piece.count, on: 1)
                    client.send(.data(1, bytes: piece))
                    sent += 1
                } else {
                    let known = client.windows
                    try await client.until("a window") { $0.windows != known }
                }
            }
            client.send(.data(1, "", end: true))
            let message = try await client.message(1)
            #expect(message.body.count == 128 * piece.count && message.isEnded)
            #expect(Array(message.body[(127 * piece.count)...]) == piece)
        }
    }

    @Test func resetsAreAborts() async throws {
        try await BalancerFixture.withHTTP2(script: { _, _ in .tunnel(greeting: "hello") }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            for stream: Int32 in [1, 3] {
                client.send(.headers(stream, Self.connect(), end: false))
                try await client.until("the greeting") { $0.messages[stream]?.text == "hello" }
            }
            client.send(.reset(1))
            _ = try await eventually("one tunnel") { try await fixture.serversDocument().contains("\"tunnels\":1") ? true : nil }
            // And the other way: the server's end is the stream's.
            try await fixture.backends[0].kill()
            let message = try await client.message(3)
            #expect(message.isEnded || message.reset != nil)
            try await fixture.untilNothingRuns()
        }
    }

    @Test(arguments: [
        (BackendAction.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"), "403"), (.ok("a page"), "502"),
        (.tunnel(accept: "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), "502"),
        (.send("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"), "302"),
        (.close, "502"),
    ])
    func refusedUpgrades(_ action: BackendAction, _ status: String) async throws {
        try await BalancerFixture.withHTTP2(script: { _, request in request.target == "/socket" ? action : .ok() }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            client.send(.headers(1, Self.connect(), end: false), .data(1, "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"))
            let message = try await client.message(1)
            #expect(message.status == status)
            #expect(try await client.get(3, "/fine").text == "ok")
            let requests = try await fixture.backends[0].requests.until { $0.last?.target == "/fine" }
            #expect(!requests.contains { $0.target == "/evil" })
        }
    }

    @Test func faultyUpgrades() async throws {
        try await BalancerFixture.withHTTP2(script: { _, _ in .tunnel() }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            client.send(.headers(1, Self.connect("/", [("content-length", "3")]), end: false))
            #expect(try await client.message(1).status == "400")
            client.send(.headers(3, Self.connect().filter { $0.0 != "sec-websocket-version" }, end: false))
            #expect(try await client.message(3).status == "426")
            client.send(.headers(5, Self.connect("/", [("connection", "upgrade")]), end: false))
            #expect(try await client.message(5).reset == 1)
            // Closed before it was open.
            client.send(.headers(7, Self.connect(), end: true))
            #expect(try await client.message(7).reset != nil)
            #expect(try await fixture.backends[0].requests.until { $0.count <= 1 }.count <= 1)
        }
    }

    @Test func drainsCloseThem() async throws {
        try await BalancerFixture.withHTTP2(script: { _, _ in .tunnel() }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            client.send(.headers(1, Self.connect(), end: false))
            try await client.until("the tunnel") { $0.messages[1]?.status == "200" }
            await fixture.service.drain()
            try await client.untilEnd()
            let message = try #require(client.messages[1])
            #expect(message.isEnded && client.goAway?.last == 1 && client.goAway?.code == 0)
        }
    }
}

/// The end of connections.
@Suite struct HTTP2DrainTests {
    @Test func streamsUnderWayAreFinished() async throws {
        // Long enough for a busy machine to send a request between the two GOAWAYs.
        let configure: @Sendable (inout BalancerConfiguration) -> Void = { $0.limits.linger = .seconds(15) }
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in request.target == "/slow" ? .silence : .ok() }
        try await BalancerFixture.withHTTP2(configure: configure, script: script) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            client.send(.headers(1, HTTP2TestClient.request("GET", "/slow")))
            _ = try await fixture.backends[0].requests.first()
            async let drained: Void = fixture.service.drain()
            try await client.until("the announcement") { $0.goAway != nil }
            #expect(client.goAway?.last == .max && client.goAway?.code == 0)
            // Sent before the client could know: it counts.
            #expect(try await client.get(3).status == "200")
            try await client.until("the last stream's number") { $0.goAway?.last == 3 }
            client.send(.headers(5, HTTP2TestClient.request()))
            try await fixture.backends[0].push("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
            #expect(try await client.message(1).text == "late")
            await drained
            try await client.untilEnd()
            #expect(client.messages[5] == nil && client.goAway?.code == 0)
        }
    }
}
