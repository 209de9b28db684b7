// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Logging
import Reactor
import TestSupport
import Testing

/// Servers that come, go, and say that they go.
@Suite struct HealthTests {
    private static let pools = [("api", "api-1"), ("api", "api-2")]
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    @Sendable private static func quick(_ configuration: inout BalancerConfiguration) {
        for index in configuration.pools.indices {
            configuration.pools[index].health.interval = .milliseconds(50)
            // Who is back has its whole share at once.
            configuration.pools[index].slowStart = .zero
        }
    }

    private func answers(_ fixture: BalancerFixture, _ count: Int = 8) async throws -> Set<String> {
        let client = try await fixture.client()
        defer { client.close() }
        var seen: Set<String> = []
        for _ in 0..<count {
            let answer = try await client.request(Self.get)
            seen.insert(answer.status == 200 ? answer.text : "\(answer.status)")
        }
        return seen
    }

    @Test func checksTakeAServerOutAndBack() async throws {
        try await BalancerFixture.with(Self.pools, loops: 2, configure: Self.quick) { fixture in
            #expect(try await answers(fixture) == ["api-1", "api-2"])
            fixture.backends[0].become(.down)
            try await fixture.untilServer("api-1", is: "down")
            #expect(fixture.backends[0].checks.all.count { $0 == .down } >= 3)
            #expect(try await answers(fixture) == ["api-2"])
            fixture.backends[0].become(.up)
            try await fixture.untilServer("api-1", is: "up")
            #expect(try await answers(fixture) == ["api-1", "api-2"])
            #expect(fixture.log.all(at: .warning).contains { $0.contains("server changed its state") && $0.contains("state=down") })
            #expect(fixture.log.all(at: .notice).contains { $0.contains("server changed its state") && $0.contains("state=up") })
        }
    }

    @Test func theFirstCheckRunsAtOnce() async throws {
        try await BalancerFixture.with(configure: { $0.pools[0].health.interval = .seconds(600) }) { fixture in
            _ = try await fixture.backends[0].checks.first()
        }
    }

    @Test func drainingServersKeepWhatTheyHave() async throws {
        let script: @Sendable (String, BackendRequest) -> BackendAction = { name, request in
            request.values("upgrade").isEmpty ? .ok(name) : .tunnel()
        }
        try await BalancerFixture.with(Self.pools, configure: Self.quick, script: script) { fixture in
            let tunnels = [try await fixture.client(), try await fixture.client()]
            for tunnel in tunnels {
                let upgrade =
                    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                #expect(try await tunnel.request(upgrade).status == 101)
            }
            let client = try await fixture.client()
            var pinned = try await client.request(Self.get)
            while pinned.text != "api-1" { pinned = try await client.request(Self.get) }
            let token = try #require(pinned.cookie("KEYVANE_API"))
            fixture.backends[0].become(.draining)
            try await fixture.untilServer("api-1", is: "draining")
            // One answer is enough.
            #expect(fixture.log.all.contains { $0.contains("check answered draining") })
            #expect(try await answers(fixture) == ["api-2"])
            let moved = try await client.request("GET / HTTP/1.1\r\nHost: a\r\nCookie: KEYVANE_API=\(token)\r\n\r\n")
            #expect(moved.text == "api-2" && moved.cookie("KEYVANE_API") != nil)
            for tunnel in tunnels {
                tunnel.send("still here")
                #expect(try await tunnel.bytes(10) == Array("still here".utf8))
            }
            fixture.backends[0].become(.up)
            try await fixture.untilServer("api-1", is: "up")
        }
    }

    @Test func trafficFindsADeadServerBeforeTheChecks() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = { $0.pools[0].health.interval = .seconds(600) }
        try await BalancerFixture.with(Self.pools, configure: configure) { fixture in
            for backend in fixture.backends { _ = try await backend.checks.first() }
            try await fixture.backends[0].kill()
            // Nobody sees more than another server; the failed connects and the checks they cause take it out.
            _ = try await eventually("api-1 to be down") {
                #expect(try await answers(fixture) == ["api-2"])
                return try await fixture.serversDocument().contains("\"state\":\"down\"") ? true : nil
            }
            try await fixture.untilServer("api-1", is: "down")
        }
    }

    @Test func aRestartedServerComesBackOnItsOldPort() async throws {
        try await BalancerFixture.with(Self.pools, configure: Self.quick) { fixture in
            try await fixture.backends[1].kill()
            try await fixture.untilServer("api-2", is: "down")
            #expect(try await answers(fixture) == ["api-1"])
            try await fixture.backends[1].start()
            try await fixture.untilServer("api-2", is: "up")
            #expect(try await answers(fixture) == ["api-1", "api-2"])
        }
    }

    @Test func aPoolWithoutServersAnswers503() async throws {
        try await BalancerFixture.with(configure: Self.quick) { fixture in
            fixture.backends[0].become(.down)
            try await fixture.untilServer("web-1", is: "down")
            #expect(try await answers(fixture) == ["503"])
            let client = try await fixture.client()
            let health = try await client.request("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(health.status == 503 && health.text.contains("\"web\":{\"ok\":false,\"up\":0,\"servers\":1}"))
        }
    }

    @Test func serversChangeWhileItRuns() async throws {
        try await BalancerFixture.with(Self.pools, loops: 2, configure: Self.quick) { fixture in
            let client = try await fixture.client()
            var pinned = try await client.request(Self.get)
            while pinned.text != "api-1" { pinned = try await client.request(Self.get) }
            let token = try #require(pinned.cookie("KEYVANE_API"))
            let third = TestBackend("api-3", on: fixture.outer.loops[0]) { _ in .ok("api-3") }
            try await third.start()
            let servers = [
                ServerConfiguration(name: "api-1", address: try await fixture.backends[0].endpoint),
                ServerConfiguration(name: "api-3", address: try await third.endpoint),
            ]
            try fixture.service.update(pool: "api", servers: servers)
            try await fixture.untilServer("api-3", is: "up")
            #expect(try await answers(fixture) == ["api-1", "api-3"])
            // Pins of servers that stayed survive the change.
            #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\nCookie: KEYVANE_API=\(token)\r\n\r\n").text == "api-1")
            try fixture.service.update(pool: "api", servers: [])
            _ = try await eventually("an empty pool") { try await answers(fixture, 1) == ["503"] ? true : nil }
            #expect(throws: BalancerError.self) { try fixture.service.update(pool: "none", servers: []) }
            #expect(throws: BalancerError.self) { try fixture.service.update(pool: "api", servers: [servers[0], servers[0]]) }
        }
    }
}
