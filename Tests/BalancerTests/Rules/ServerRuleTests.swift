// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import Testing

/// What operators, checks and configurations make of a server, by values.
@Suite struct ServerRuleTests {
    // MARK: Administration

    @Test func aDrainHasADeadline() {
        var machine = AdministrativeStateMachine()
        #expect(machine.wish == .ready)
        #expect(machine.timePassed(to: 5) == .none)
        #expect(machine.drainAsked(at: 1000, lasting: 500) == .servePinned(resumesChecks: false))
        #expect(machine.wish == .drain && machine.deadline == 1500 && !machine.isDrained)
        // Asked twice, it doesn't begin anew.
        #expect(machine.drainAsked(at: 1400, lasting: 500) == .none)
        #expect(machine.timePassed(to: 1499) == .none)
        #expect(machine.timePassed(to: 1500) == .closeTunnels)
        #expect(machine.isDrained && machine.wish == .drain && machine.deadline == nil)
        #expect(machine.timePassed(to: 9999) == .none)
        #expect(machine.drainAsked(at: 9999, lasting: 500) == .none)
        #expect(machine.readyAsked() == .returnToService)
        #expect(machine.readyAsked() == .none)
        #expect(machine.timePassed(to: 99_999) == .none)
    }

    @Test func maintenanceEndsChecksAndItsEndBeginsThemAnew() {
        var machine = AdministrativeStateMachine()
        #expect(machine.maintenanceAsked() == .standDown)
        #expect(machine.maintenanceAsked() == .none)
        #expect(machine.wish == .maint && machine.timePassed(to: 1) == .none)
        #expect(machine.drainAsked(at: 0, lasting: 10) == .servePinned(resumesChecks: true))
        #expect(machine.maintenanceAsked() == .standDown)
        #expect(machine.timePassed(to: 100) == .none)
        #expect(machine.readyAsked() == .beginAnew)
        #expect(machine.drainAsked(at: 0, lasting: 10) == .servePinned(resumesChecks: false))
        _ = machine.timePassed(to: 10)
        #expect(machine.maintenanceAsked() == .standDown)
    }

    @Test func whoHasTheLastWord() {
        func standing(
            _ health: HealthStateMachine.Standing,
            _ change: (inout AdministrativeStateMachine) -> Void = { _ in }
        ) -> ServerStanding {
            var machine = AdministrativeStateMachine()
            change(&machine)
            return ServerStanding(machine, health)
        }
        let drain: (inout AdministrativeStateMachine) -> Void = { _ = $0.drainAsked(at: 0, lasting: 10) }
        let drained: (inout AdministrativeStateMachine) -> Void = {
            _ = $0.drainAsked(at: 0, lasting: 10)
            _ = $0.timePassed(to: 10)
        }
        let maint: (inout AdministrativeStateMachine) -> Void = { _ = $0.maintenanceAsked() }
        #expect(HealthStateMachine.Standing.allCases.map { standing($0) } == [.up, .draining, .down, .ejected])
        #expect(HealthStateMachine.Standing.allCases.map { standing($0, drain) } == [.drain, .draining, .down, .ejected])
        #expect(HealthStateMachine.Standing.allCases.map { standing($0, drained) } == [.drained, .drained, .drained, .drained])
        #expect(HealthStateMachine.Standing.allCases.allSatisfy { standing($0, maint) == .maint })
    }

    // MARK: Slow start

    @Test func weightAndLimitRiseInALine() throws {
        let start = try #require(SlowStart(at: 1000, lasting: .seconds(30)))
        #expect(SlowStart(at: 0, lasting: .zero) == nil)
        #expect([1000, 8500, 16_000, 31_000, 90_000].map { start.fraction(at: $0) } == [0, 0.25, 0.5, 1, 1])
        // Another loop's clock may be a turn behind.
        #expect(start.fraction(at: 0) == 0)
        #expect(!start.isOver(at: 30_999) && start.isOver(at: 31_000))
        #expect([0, 0.25, 0.5, 1].map { SlowStart.share(of: 10, $0) } == [1, 640, 1280, 2560])
        #expect(SlowStart.share(of: 0, 0.5) == 0 && SlowStart.share(of: 256, 1) == 65_536)
        #expect([0, 0.25, 0.5, 1].map { SlowStart.limit(100, $0) } == [1, 25, 50, 100])
        #expect(SlowStart.limit(0, 0.5) == 0 && SlowStart.limit(3, 0.5) == 2)
    }

    // MARK: Sources of servers

    private func server(_ name: String, _ port: UInt16, weight: Int = 1) -> ServerConfiguration {
        ServerConfiguration(name: name, address: Endpoint(host: "10.0.0.1", port: port), weight: weight)
    }

    private func names(_ merge: ServerMerge) -> [String] {
        merge.servers.map { "\($0.origin.rawValue) \($0.server.name)" }
    }

    @Test func configuredServersComeFirst() {
        let merge = ServerMerge(
            configured: [server("a", 1), server("b", 2), server("c", 2)],
            discovered: [server("a", 9), server("d", 1), server("e", 3), server("e", 4), server("f", 3)],
            added: [server("g", 3), server("h", 7), server("b", 8)],
            removed: []
        )
        // Same name or same address: known already. Two configured servers may share an address.
        #expect(names(merge) == ["configured a", "configured b", "configured c", "discovered e", "added h"])
    }

    @Test func whatWasTakenOutStaysOutUntilItIsAnother() {
        let removed: Set = [server("a", 1), server("e", 3)]
        let out = ServerMerge(configured: [server("a", 1), server("b", 2)], discovered: [server("e", 3)], added: [], removed: removed)
        #expect(names(out) == ["configured b"] && out.removed == removed)
        let changed = ServerMerge(configured: [server("a", 1, weight: 5)], discovered: [], added: [], removed: out.removed)
        #expect(names(changed) == ["configured a"] && changed.removed.isEmpty)
        // It had left in between: it comes again as any other.
        #expect(names(ServerMerge(configured: [], discovered: [server("e", 3)], added: [], removed: changed.removed)) == ["discovered e"])
    }
}
