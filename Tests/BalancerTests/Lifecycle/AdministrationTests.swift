// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// What operators do to servers while traffic runs.
@Suite struct AdministrationTests {
    private static let pools = [("web", "web-1"), ("web", "web-2")]

    @Test func pinnedClientsAreServedUntilTheDeadlineOfADrain() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            BalancerFixture.quick(&$0)
            $0.limits.drain = .seconds(600)
        }
        try await BalancerFixture.with(Self.pools, loops: 2, configure: configure, script: BalancerFixture.byName) { fixture in
            let cookie = try await fixture.pin(to: "web-1")
            let tunnel = try await fixture.tunnel(cookie: cookie)
            try await fixture.state(.drain, "web-1")
            try await fixture.until("web-1", "drain") {
                $0.standing == .drain && $0.drain?.tunnelsLeft == 1 && ($0.drain?.secondsToDeadline ?? 0) > 0
            }
            _ = try await eventually("all loops to know") { try await fixture.answers(8) == ["web-2": 8] ? true : nil }
            // Pinned ones are served, and not sent to another server; their WebSockets too.
            #expect(try await fixture.answers(6, to: BalancerFixture.get(cookie: cookie)) == ["web-1": 6])
            let second = try await fixture.tunnel(cookie: cookie)
            #expect(try await tunnel.echoes())
            #expect(try await second.echoes())
            #expect(try await fixture.server("web-1").effectiveWeight == 0)
            try await fixture.state(.ready, "web-1")
            _ = try await eventually("web-1 to serve again") { try await fixture.answers(8)["web-1"] == 4 ? true : nil }
            #expect(try await fixture.server("web-1").drain == nil)
        }
    }

    @Test func theDeadlineOfADrainEndsTunnelsAndPins() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            BalancerFixture.quick(&$0)
            $0.limits.drain = .milliseconds(500)
        }
        try await BalancerFixture.with(Self.pools, loops: 2, configure: configure, script: BalancerFixture.byName) { fixture in
            let cookie = try await fixture.pin(to: "web-1")
            let tunnels = [try await fixture.tunnel(cookie: cookie), try await fixture.tunnel(cookie: cookie)]
            try await fixture.state(.drain, "web-1")
            for tunnel in tunnels { try await tunnel.untilEnd() }
            // The drain tells that nothing is left.
            try await fixture.until("web-1", "drained") { $0.standing == .drained && $0.drain?.tunnelsLeft == 0 }
            _ = try await eventually("all loops to know") {
                try await fixture.answers(8, to: BalancerFixture.get(cookie: cookie)) == ["web-2": 8] ? true : nil
            }
            try await fixture.state(.ready, "web-1")
            _ = try await eventually("web-1 to serve again") { try await fixture.answers(8)["web-1"] == 4 ? true : nil }
            #expect(try await fixture.server("web-1").drain == nil)
        }
    }

    @Test func drainedTunnelsCloseAtThePaceAndReadyStopsIt() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            BalancerFixture.quick(&$0)
            $0.limits.drain = .milliseconds(100)
            $0.limits.drainPace = 2
        }
        try await BalancerFixture.with(loops: 2, configure: configure, script: BalancerFixture.byName) { fixture in
            for _ in 0..<80 { _ = try await fixture.tunnel() }
            try await fixture.state(.drain, "web-1")
            try await fixture.until("web-1", "fewer tunnels") { $0.standing == .drained && $0.tunnels < 79 }
            // Two a second over both loops: they can't all be gone, unless this task was held up for half a minute.
            try await fixture.state(.ready, "web-1")
            #expect(try await fixture.untilTunnelsStay("web-1") > 0)
        }
    }

    @Test func maintenanceEndsTrafficAndChecks() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            BalancerFixture.quick(&$0)
            $0.pools[0].onMarkedDown = .keep
        }
        try await BalancerFixture.with(Self.pools, loops: 2, configure: configure, script: BalancerFixture.byName) { fixture in
            let cookie = try await fixture.pin(to: "web-1")
            let tunnel = try await fixture.tunnel(cookie: cookie)
            _ = try await fixture.backends[0].checks.first()
            try await fixture.state(.maint, "web-1")
            _ = try await eventually("all loops to know") {
                try await fixture.answers(8, to: BalancerFixture.get(cookie: cookie)) == ["web-2": 8] ? true : nil
            }
            // But for one that was on its way.
            _ = try await fixture.untilItStays("the number of checks") { fixture.backends[0].checks.all.count }
            #expect(try await tunnel.echoes())
            #expect(try await fixture.server("web-1").standing == .maint)
            // It went down meanwhile, and nobody looked: after `ready` the checks find out.
            fixture.backends[0].become(.down)
            try await fixture.state(.ready, "web-1")
            try await fixture.until("web-1", "down") { $0.standing == .down && $0.downs == 1 && $0.check?.outcome == "status 503" }
            fixture.backends[0].become(.up)
            try await fixture.until("web-1", "up") { $0.standing == .up && $0.secondsDown < 600 }
        }
    }

    @Test func weightsChangeWhileItRuns() async throws {
        try await BalancerFixture.with(Self.pools, configure: BalancerFixture.quick, script: BalancerFixture.byName) { fixture in
            let cookie = try await fixture.pin(to: "web-1")
            try await fixture.service.perform(.weight(3), pool: "web", server: "web-1")
            _ = try await eventually("three to one") { try await fixture.answers(8) == ["web-1": 6, "web-2": 2] ? true : nil }
            // 0: pinned clients only.
            try await fixture.service.perform(.weight(0), pool: "web", server: "web-1")
            _ = try await eventually("web-2 alone") { try await fixture.answers(8) == ["web-2": 8] ? true : nil }
            #expect(try await fixture.answers(3, to: BalancerFixture.get(cookie: cookie)) == ["web-1": 3])
            for (command, server) in [(ServerCommand.weight(257), "web-1"), (.weight(-1), "web-1"), (.weight(1), "web-9"), (.remove, "x")] {
                await #expect(throws: BalancerError.self) { try await fixture.service.perform(command, pool: "web", server: server) }
            }
            await #expect(throws: BalancerError.self) { try await fixture.service.perform(.state(.maint), pool: "none", server: "web-1") }
            #expect(try await fixture.server("web-1").weight == 0)
        }
    }

    @Test func whatOperatorsChangedSurvivesConfigurations() async throws {
        try await BalancerFixture.with(Self.pools, configure: BalancerFixture.quick, script: BalancerFixture.byName) { fixture in
            let tunnel = try await fixture.tunnel(cookie: try await fixture.pin(to: "web-1"))
            try await fixture.service.perform(.weight(5), pool: "web", server: "web-1")
            try await fixture.state(.drain, "web-1")
            var servers: [ServerConfiguration] = []
            for backend in fixture.backends { servers.append(ServerConfiguration(name: backend.name, address: try await backend.endpoint)) }
            // Something else changes: all stays.
            servers[0].maxConnections = 7
            servers[1].weight = 2
            try fixture.service.update(pool: "web", servers: servers)
            try await fixture.until("web-1", "its new limit") { $0.maxConnections == 7 }
            let kept = try await fixture.server("web-1")
            #expect(kept.weight == 5 && kept.administrative == .drain && kept.tunnels == 1)
            // The configuration changes this very value: that is newer.
            servers[0].weight = 4
            try fixture.service.update(pool: "web", servers: servers)
            try await fixture.until("web-1", "its new weight") { $0.weight == 4 && $0.administrative == .drain }
            // Gone and back, with its tunnel all the while.
            try fixture.service.update(pool: "web", servers: [servers[1]])
            #expect(try await tunnel.echoes())
            try fixture.service.update(pool: "web", servers: servers)
            try await fixture.until("web-1", "its tunnel") { $0.tunnels == 1 }
            #expect(try await tunnel.echoes())
        }
    }

    @Test func serversAreAddedAndRemovedAtRunTime() async throws {
        try await BalancerFixture.with(Self.pools, configure: BalancerFixture.quick, script: BalancerFixture.byName) { fixture in
            let third = TestBackend("web-3", on: fixture.outer.loops[0]) { BalancerFixture.byName("web-3", $0) }
            try await third.start()
            let added = ServerConfiguration(name: "web-3", address: try await third.endpoint)
            try await fixture.service.perform(.add(added), pool: "web", server: "")
            _ = try await eventually("web-3 to serve") { try await fixture.answers(6)["web-3"] == 2 ? true : nil }
            #expect(try await fixture.server("web-3").origin == .added)
            await #expect(throws: BalancerError.self) { try await fixture.service.perform(.add(added), pool: "web", server: "") }
            let tunnel = try await fixture.tunnel(cookie: try await fixture.pin(to: "web-1"))
            try await fixture.service.perform(.remove, pool: "web", server: "web-1")
            _ = try await eventually("web-1 to be out") { try await fixture.answers(6) == ["web-2": 3, "web-3": 3] ? true : nil }
            #expect(try await tunnel.echoes())
            // The configuration still has it as it was: it stays out. Another one brings it back.
            var servers: [ServerConfiguration] = []
            for backend in fixture.backends { servers.append(ServerConfiguration(name: backend.name, address: try await backend.endpoint)) }
            try fixture.service.update(pool: "web", servers: servers)
            #expect(try await fixture.service.status()[0].servers.map(\.name) == ["web-2", "web-3"])
            servers[0].weight = 2
            try fixture.service.update(pool: "web", servers: servers)
            #expect(try await fixture.service.status()[0].servers.map(\.name) == ["web-1", "web-2", "web-3"])
            try await fixture.service.perform(.remove, pool: "web", server: "web-3")
            #expect(try await fixture.service.status()[0].servers.map(\.name) == ["web-1", "web-2"])
            try await third.kill()
        }
    }
}
