// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Testing

/// Up, down, draining, ejected: by events.
@Suite struct HealthStateMachineTests {
    private func machine() -> HealthStateMachine {
        HealthStateMachine(health: HealthConfiguration(), passive: PassiveConfiguration())
    }

    @Test func fallAndRise() {
        var machine = machine()
        #expect(machine.standing == .up)
        #expect(machine.checkFailed() == .none)
        #expect(machine.checkFailed() == .none)
        // A good one in between starts the count anew.
        #expect(machine.checkPassed() == .none)
        #expect([machine.checkFailed(), machine.checkFailed(), machine.checkFailed()] == [.none, .none, .stand(.down)])
        #expect(machine.standing == .down)
        #expect(machine.checkPassed() == .none)
        #expect(machine.checkFailed() == .none)
        #expect([machine.checkPassed(), machine.checkPassed()] == [.none, .stand(.up)])
    }

    @Test func drainingIsAtOnceAndEndsWithAGoodCheck() {
        var machine = machine()
        #expect(machine.checkAnsweredDraining() == .stand(.draining))
        #expect(machine.checkAnsweredDraining() == .none)
        #expect(machine.checkFailed() == .none)
        #expect(machine.checkPassed() == .stand(.up))
        _ = machine.checkAnsweredDraining()
        #expect([machine.checkFailed(), machine.checkFailed(), machine.checkFailed()] == [.none, .none, .stand(.down)])
        #expect(machine.checkAnsweredDraining() == .stand(.draining))
    }

    @Test func failedConnectsEject() {
        var machine = machine()
        #expect(machine.connectFailed(at: 0) == .checkNow)
        #expect(machine.connectFailed(at: 29_000) == .checkNow)
        // The first one has left the window.
        #expect(machine.connectFailed(at: 30_000) == .checkNow)
        #expect(machine.connectFailed(at: 31_000) == .proposeEjection)
        #expect(machine.standing == .up)
        #expect(machine.ejectionAllowed(at: 31_000) == .stand(.ejected))
        // Other loops report late.
        #expect(machine.connectFailed(at: 31_001) == .none)
        #expect(machine.ejectionAllowed(at: 31_001) == .none)
        #expect(machine.timePassed(to: 60_999) == .none)
        #expect(machine.timePassed(to: 61_000) == .stand(.up))
    }

    @Test func anEjectedServerReturnsAtItsFirstGoodCheckOrGoesDown() {
        var machine = machine()
        for _ in 0..<3 { _ = machine.connectFailed(at: 0) }
        _ = machine.ejectionAllowed(at: 0)
        #expect(machine.checkPassed() == .stand(.up))
        // A good check also clears the doubts.
        #expect(machine.connectFailed(at: 1) == .checkNow)
        for time in 2..<5 { _ = machine.connectFailed(at: UInt64(time)) }
        _ = machine.ejectionAllowed(at: 5)
        #expect([machine.checkFailed(), machine.checkFailed(), machine.checkFailed()] == [.none, .none, .stand(.down)])
        #expect(machine.timePassed(to: 100_000) == .none)
        #expect(machine.connectFailed(at: 100_000) == .none)
    }
}
