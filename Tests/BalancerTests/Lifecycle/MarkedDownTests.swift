// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// What becomes of the tunnels of a server that is marked down while its connections still live.
@Suite struct MarkedDownTests {
    private static let pools = [("web", "web-1"), ("web", "web-2")]

    private func withTunnels(
        _ policy: MarkedDownPolicy,
        count: Int = 10,
        _ body: @Sendable (BalancerFixture, _ affected: [TestClient], _ other: [TestClient]) async throws -> Void
    ) async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            BalancerFixture.quick(&$0)
            $0.pools[0].onMarkedDown = policy
        }
        try await BalancerFixture.with(Self.pools, loops: 2, configure: configure, script: BalancerFixture.byName) { fixture in
            let (first, second) = (try await fixture.pin(to: "web-1"), try await fixture.pin(to: "web-2"))
            var (affected, other): ([TestClient], [TestClient]) = ([], [])
            for _ in 0..<count { affected.append(try await fixture.tunnel(cookie: first)) }
            for _ in 0..<3 { other.append(try await fixture.tunnel(cookie: second)) }
            fixture.backends[0].become(.down)
            try await fixture.untilServer("web-1", is: "down")
            try await body(fixture, affected, other)
            for client in other { #expect(try await client.echoes()) }
        }
    }

    @Test func cut() async throws {
        try await withTunnels(.cut) { fixture, affected, _ in
            for client in affected { try await client.untilEnd() }
            try await fixture.until("web-1", "no tunnel") { $0.tunnels == 0 }
        }
    }

    @Test func keep() async throws {
        try await withTunnels(.keep) { fixture, affected, _ in
            try await fixture.waitAtLeast(milliseconds: 200)
            for client in affected { #expect(try await client.echoes()) }
        }
    }

    @Test func pacedUntilItIsBack() async throws {
        try await withTunnels(.paced(perSecond: 2), count: 80) { fixture, _, _ in
            try await fixture.until("web-1", "fewer tunnels") { $0.tunnels < 79 }
            fixture.backends[0].become(.up)
            try await fixture.until("web-1", "up") { $0.standing == .up }
            #expect(try await fixture.untilTunnelsStay("web-1") > 0)
        }
    }

    @Test func pacedToTheEnd() async throws {
        try await withTunnels(.paced(perSecond: 200)) { _, affected, _ in
            for client in affected { try await client.untilEnd() }
        }
    }

    @Test func maintenanceFollowsTheSamePolicy() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = { $0.pools[0].onMarkedDown = .cut }
        try await BalancerFixture.with(Self.pools, loops: 2, configure: configure, script: BalancerFixture.byName) { fixture in
            let tunnel = try await fixture.tunnel(cookie: try await fixture.pin(to: "web-2"))
            try await fixture.state(.maint, "web-2")
            try await tunnel.untilEnd()
        }
    }
}
