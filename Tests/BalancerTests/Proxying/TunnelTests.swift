// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// WebSocket upgrades and what flows after them.
@Suite struct TunnelTests {
    private static let key = "dGhlIHNhbXBsZSBub25jZQ=="

    private static func upgrade(_ extra: String = "", target: String = "/v1/watch", cookie: String? = nil) -> String {
        """
        GET \(target) HTTP/1.1\r
        Host: a\r
        Connection: keep-alive, Upgrade\r
        Upgrade: websocket\r
        Sec-WebSocket-Version: 13\r
        Sec-WebSocket-Key: \(key)\r
        Sec-WebSocket-Protocol: keyvane.v1\r
        \(cookie.map { "Cookie: \($0)\r\n" } ?? "")\(extra)\r\n
        """
    }

    @Test func bytesFlowBothWays() async throws {
        try await BalancerFixture.with(script: { _, _ in .tunnel(greeting: "hello") }) { fixture in
            let client = try await fixture.client()
            let answer = try await client.request(Self.upgrade())
            #expect(answer.status == 101)
            #expect(answer.value("connection")?.lowercased() == "upgrade" && answer.value("upgrade") == "websocket")
            #expect(answer.value("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            #expect(answer.cookie("KEYVANE_WEB") != nil)
            #expect(try await client.bytes(5) == Array("hello".utf8))
            let request = try await fixture.backends[0].requests.first()
            #expect(request.value("connection") == "Upgrade" && request.value("upgrade") == "websocket")
            #expect(request.value("sec-websocket-key") == Self.key && request.value("sec-websocket-protocol") == "keyvane.v1")
            #expect(request.value("x-forwarded-for") == "127.0.0.1")
            client.send("ping")
            #expect(try await client.bytes(4) == Array("ping".utf8))
            #expect(try await fixture.serversDocument().contains("\"tunnels\":1"))
            client.close()
            _ = try await fixture.backends[0].closures.first()
            _ = try await eventually("no tunnel") {
                try await fixture.serversDocument().contains("\"tunnels\":0") ? true : nil
            }
        }
    }

    @Test func largeDataWithBackpressure() async throws {
        try await BalancerFixture.with(loops: 2, script: { _, _ in .tunnel() }) { fixture in
            let client = try await fixture.client()
            #expect(try await client.request(Self.upgrade()).status == 101)
            try await client.pauseReading()
            let block = (0..<65_521).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 7) }
            let sent = [[UInt8]](repeating: block, count: 256).flatMap { $0 }
            let size = sent.count
            client.send(sent)
            client.resumeReading()
            let back = try await client.bytes(size)
            #expect(back == sent)
        }
    }

    @Test func eitherSideMayFinishFirst() async throws {
        try await BalancerFixture.with(script: { _, _ in .tunnel() }) { fixture in
            let client = try await fixture.client()
            #expect(try await client.request(Self.upgrade()).status == 101)
            client.send("last words")
            client.finishSending()
            // The echo of what was sent before the FIN still arrives.
            #expect(try await client.untilEnd() == Array("last words".utf8))
            #expect(try await !client.wasReset())

            let other = try await fixture.client()
            #expect(try await other.request(Self.upgrade()).status == 101)
            try await fixture.backends[0].closeConnections()
            #expect(try await other.untilEnd().isEmpty)
        }
    }

    @Test func aKilledServersTunnelsEnd() async throws {
        try await BalancerFixture.with(script: { _, _ in .tunnel() }) { fixture in
            let client = try await fixture.client()
            #expect(try await client.request(Self.upgrade()).status == 101)
            try await fixture.backends[0].kill()
            try await client.untilEnd()
        }
    }

    @Test func anyRequestOfAConnectionMayUpgrade() async throws {
        try await BalancerFixture.with(script: { _, request in request.target == "/" ? .ok() : .tunnel() }) { fixture in
            let client = try await fixture.client()
            for _ in 0..<3 { #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200) }
            #expect(try await client.request(Self.upgrade()).status == 101)
            client.send("x")
            #expect(try await client.bytes(1) == [0x78])
        }
    }

    /// Early bytes are the tunnel's or nobody's: a server that refuses must never have seen them (CVE-2026-2833 of another proxy).
    @Test func nothingBehindTheHeadLeavesBeforeThe101() async throws {
        let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
        try await BalancerFixture.with(script: { _, request in request.target == "/yes" ? .tunnel() : .ok("no tunnel") }) { fixture in
            let refused = try await fixture.client()
            let answer = try await refused.request(Self.upgrade(target: "/no") + smuggled)
            #expect(answer.status == 200 && answer.value("connection") == "close")
            #expect(try await refused.untilEnd().isEmpty)
            #expect(fixture.backends[0].requests.all.map(\.target) == ["/no"])

            let accepted = try await fixture.client()
            #expect(try await accepted.request(Self.upgrade(target: "/yes") + smuggled).status == 101)
            #expect(try await accepted.bytes(smuggled.utf8.count) == Array(smuggled.utf8))
            #expect(fixture.backends[0].requests.all.map(\.target) == ["/no", "/yes"])
        }
    }

    @Test(arguments: [
        BackendAction.tunnel(accept: "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
        .send("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
        .send("nonsense\r\n\r\n"),
    ])
    func answersThatAreNone(_ action: BackendAction) async throws {
        try await BalancerFixture.with(script: { _, _ in action }) { fixture in
            let client = try await fixture.client()
            let answer = try await client.request(Self.upgrade() + "early")
            #expect(answer.status == 502)
            try await client.untilEnd()
            // Without having asked for it, a 101 is an answer to nothing.
            let plain = try await fixture.client()
            #expect(try await plain.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 502)
        }
    }

    @Test(arguments: [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426), ("Sec-WebSocket-Key: \(key)", "Sec-WebSocket-Key: short", 400),
        ("Sec-WebSocket-Key: \(key)\r\n", "", 400), ("Upgrade: websocket", "Upgrade: h2c", 400), ("GET", "POST", 400),
        ("HTTP/1.1", "HTTP/1.0", 400), ("Host: a\r\n", "Host: a\r\nContent-Length: 5\r\n", 400),
    ])
    func upgradesThatAreRefused(_ from: String, _ to: String, _ status: Int) async throws {
        try await BalancerFixture.with(script: { _, _ in .tunnel() }) { fixture in
            let client = try await fixture.client()
            let answer = try await client.request(Self.upgrade().replacing(from, with: to))
            #expect(answer.status == status)
            if status == 426 { #expect(answer.value("sec-websocket-version") == "13") }
            try await client.untilEnd()
            #expect(fixture.backends[0].requests.all.isEmpty)
        }
    }

    @Test func otherProtocolsAreNotOffered() async throws {
        try await BalancerFixture.with { fixture in
            let client = try await fixture.client()
            let answer = try await client.request("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n")
            #expect(answer.status == 200)
            let request = try await fixture.backends[0].requests.first()
            #expect(request.values("upgrade").isEmpty && request.values("connection").isEmpty)
        }
    }

    @Test func a503ToAnUpgradeIsTriedOnceElsewhere() async throws {
        let full = BackendAction.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nRetry-After: 7\r\n\r\nfull")
        let pools = [("gateway", "gateway-1"), ("gateway", "gateway-2"), ("gateway", "gateway-3")]
        try await BalancerFixture.with(pools, script: { name, _ in name == "gateway-3" ? .tunnel() : full }) { fixture in
            var statuses: [Int] = []
            for _ in 0..<3 {
                let client = try await fixture.client()
                let answer = try await client.request(Self.upgrade())
                statuses.append(answer.status)
                if answer.status == 503 { #expect(answer.text == "full" && answer.value("retry-after") == "7") }
            }
            // 1 then 2: passed on; 3 at once; 1 then 2 again, or 2 then 3, as the turns come.
            #expect(statuses.contains(101) && statuses.contains(503))
            let asked = fixture.backends.map { $0.requests.all.count }
            #expect(asked.reduce(0, +) <= 6 && asked.allSatisfy { $0 <= 3 })
        }
    }

    @Test func upgradesAreAdmittedByRate() async throws {
        try await BalancerFixture.with(configure: { $0.limits.upgradesPerSecond = 5 }, script: { _, _ in .tunnel() }) { fixture in
            var statuses: [Int] = []
            var clients: [TestClient] = []
            for _ in 0..<40 { clients.append(try await fixture.client()) }
            // In one breath, however long the connects took.
            for client in clients { client.send(Self.upgrade()) }
            for client in clients {
                let answer = try await client.response()
                statuses.append(answer.status)
                if answer.status == 503 { #expect(answer.value("retry-after") == "1" && answer.text.contains("upgrade_rate")) }
            }
            #expect(statuses.count { $0 == 101 } >= 5 && statuses.contains(503))
            // Plain requests have nothing to do with it.
            let plain = try await fixture.client()
            #expect(try await plain.request("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        }
    }

    @Test func bytesBehindAnUpgradeThatTheRateRefusedAreNoRequest() async throws {
        // The refusal once kept the connection alive, and read a tunnel's first bytes as the next request: smuggling in a reconnect storm.
        try await BalancerFixture.with(configure: { $0.limits.upgradesPerSecond = 1 }, script: { _, _ in .tunnel() }) { fixture in
            var clients: [TestClient] = []
            for _ in 0..<20 { clients.append(try await fixture.client()) }
            for client in clients { client.send(Self.upgrade() + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n") }
            var refused = 0
            for client in clients where try await client.response().status == 503 {
                refused += 1
                let rest = try await client.untilEnd()
                #expect(rest.isEmpty)
            }
            #expect(refused > 0)
            let smuggled = fixture.backends[0].requests.all.filter { $0.target == "/smuggled" }
            #expect(smuggled.isEmpty)
        }
    }

    /// What is refused for something else costs no place among the upgrades of a second.
    @Test func refusedUpgradesCostNothing() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            $0.limits.upgradesPerSecond = 1
            var limited = RouteConfiguration(path: "/limited", pool: "web")
            limited.rateLimit = RateLimitConfiguration(key: .ip, rate: 0.001, burst: 1)
            $0.routes = [limited, RouteConfiguration(path: "/v1/watch", pool: "web")]
        }
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            request.values("upgrade").isEmpty ? .ok() : .tunnel()
        }
        try await BalancerFixture.with(configure: configure, script: script) { fixture in
            func status(_ request: String) async throws -> Int {
                let client = try await fixture.client()
                defer { client.close() }
                return try await client.request(request).status
            }
            let spends = try await status("GET /limited HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(spends == 200)
            for _ in 0..<5 {
                #expect(try await status(Self.upgrade(target: "/none")) == 404)
                #expect(try await status(Self.upgrade(target: "/limited")) == 429)
                #expect(try await status(Self.upgrade("Sec-WebSocket-Key: c\r\n")) == 400)
            }
            #expect(try await status(Self.upgrade()) == 101)
        }
    }
}
