// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Keyvane
import KeyvaneClient
import Testing

/// What `keyvane run` decides, event by event.
@Suite struct RunStateMachineTests {
    @Test func startsWithTheFirstConfigurationAndIsWellAfterAWhile() {
        var machine = RunStateMachine(.restart)
        #expect(machine.configurationArrived(Self.one) == [.prepare(Self.one)])
        #expect(machine.prepared(Self.one) == [.start(Self.one), .schedule(.healthy)])
        #expect(machine.healthyElapsed() == [.acknowledge(1, .applied)])
    }

    @Test func changesWithinTheDebounceAreOneRestart() {
        var machine = Self.running(.restart)
        #expect(machine.configurationArrived(Self.two) == [.schedule(.debounce)])
        #expect(machine.configurationArrived(Self.three) == [])
        #expect(machine.debounceElapsed() == [.prepare(Self.three)])
        #expect(machine.prepared(Self.three) == [.signal(15), .schedule(.grace)])
        #expect(machine.childEnded(.exited(0)) == [.prepare(Self.three)])
        #expect(machine.prepared(Self.three) == [.start(Self.three), .schedule(.healthy)])
        #expect(machine.healthyElapsed() == [.acknowledge(3, .applied)])
    }

    @Test func aChangeThatTheProgramDoesNotSeeIsAppliedAtOnce() {
        var machine = Self.running(.restart)
        #expect(machine.configurationArrived(Self.configuration(5, "a")) == [.acknowledge(5, .applied)])
        // There and back again.
        #expect(machine.configurationArrived(Self.configuration(6, "b")) == [.schedule(.debounce)])
        #expect(machine.configurationArrived(Self.configuration(7, "a")) == [])
        #expect(machine.debounceElapsed() == [.acknowledge(7, .applied)])
    }

    @Test func aProgramThatDoesNotEndIsKilledAndTheNewestIsStarted() {
        var machine = Self.running(.restart)
        _ = machine.configurationArrived(Self.two)
        _ = machine.debounceElapsed()
        _ = machine.prepared(Self.two)
        #expect(machine.configurationArrived(Self.three) == [])
        #expect(machine.graceElapsed() == [.signal(9)])
        #expect(machine.childEnded(.killed(9)) == [.prepare(Self.three)])
    }

    @Test func itsEndIsOurs() {
        var healthy = Self.running(.restart)
        #expect(healthy.childEnded(.exited(3)) == [.finish(3)])
        var early = Self.running(.restart, isHealthy: false)
        #expect(early.childEnded(.killed(11)) == [.acknowledge(1, .failed("the program was killed by signal 11")), .finish(139)])
        var job = Self.running(.restart, isHealthy: false)
        #expect(job.childEnded(.exited(0)) == [.acknowledge(1, .applied), .finish(0)])
        #expect(job.configurationArrived(Self.two) == [])
    }

    @Test func whoAsksUsToEndGetsTheProgramsEnd() {
        var machine = Self.running(.restart)
        #expect(machine.stopRequested(15) == [.signal(15)])
        // Its drain is its own: no change starts it again and no timer kills it.
        #expect(machine.configurationArrived(Self.two) == [])
        #expect(machine.graceElapsed() == [])
        #expect(machine.stopRequested(2) == [.signal(2)])
        #expect(machine.childEnded(.exited(7)) == [.finish(7)])
        var waiting = RunStateMachine(.restart)
        #expect(waiting.stopRequested(15) == [.finish(143)])
    }

    @Test func aStopWhileItIsReplacedStartsNoSuccessor() {
        var machine = Self.running(.restart)
        _ = machine.configurationArrived(Self.two)
        _ = machine.debounceElapsed()
        _ = machine.prepared(Self.two)
        #expect(machine.stopRequested(15) == [.signal(15)])
        #expect(machine.childEnded(.killed(15)) == [.finish(143)])
    }

    @Test func aSignalInsteadOfARestart() {
        var machine = Self.running(.signal(1))
        _ = machine.configurationArrived(Self.two)
        _ = machine.debounceElapsed()
        #expect(machine.prepared(Self.two) == [.signal(1), .schedule(.healthy)])
        #expect(machine.healthyElapsed() == [.acknowledge(2, .applied)])
        _ = machine.configurationArrived(Self.three)
        _ = machine.debounceElapsed()
        _ = machine.prepared(Self.three)
        #expect(machine.childEnded(.exited(1)) == [.acknowledge(3, .failed("the program exited with 1")), .finish(1)])
    }

    @Test func filesThatCanNotBeMadeLeaveTheProgramAlone() {
        var machine = Self.running(.none)
        _ = machine.configurationArrived(Self.two)
        _ = machine.debounceElapsed()
        #expect(machine.preparationFailed(Self.two, "no") == [.acknowledge(2, .failed("no"))])
        _ = machine.configurationArrived(Self.three)
        #expect(machine.debounceElapsed() == [.prepare(Self.three)])
        #expect(machine.prepared(Self.three) == [.acknowledge(3, .applied)])
        var first = RunStateMachine(.none)
        _ = first.configurationArrived(Self.one)
        #expect(first.preparationFailed(Self.one, "no") == [.acknowledge(1, .failed("no")), .finish(1)])
    }

    @Test func aWatchThatEndsLeavesTheProgramAlone() {
        var machine = Self.running(.restart)
        #expect(machine.watchEnded() == [])
        #expect(machine.childEnded(.exited(0)) == [.finish(0)])
        var waiting = RunStateMachine(.restart)
        #expect(waiting.watchEnded() == [.finish(1)])
        #expect(waiting.configurationArrived(Self.one) == [])
    }

    @Test func aCommandThatIsNoneEndsUs() {
        var machine = Self.running(.restart, isHealthy: false)
        #expect(machine.startFailed("no such command", code: 127) == [.acknowledge(1, .failed("no such command")), .finish(127)])
    }

    // MARK: - Examples

    private static let one = configuration(1, "a")
    private static let two = configuration(2, "b")
    private static let three = configuration(3, "c")

    private static func configuration(_ revision: Int, _ value: String) -> EnvironmentConfiguration {
        EnvironmentConfiguration(
            WatchSnapshot(
                environment: "acme/web/production",
                environmentId: "1",
                revision: revision,
                cursor: WatchCursor(revision: revision),
                entries: [ConfigurationEntry(name: "A", value: value, isSecret: false, version: 1, revision: revision)]
            )
        )
    }

    private static func running(_ reaction: RunStateMachine.Reaction, isHealthy: Bool = true) -> RunStateMachine {
        var machine = RunStateMachine(reaction)
        _ = machine.configurationArrived(one)
        _ = machine.prepared(one)
        if isHealthy { _ = machine.healthyElapsed() }
        return machine
    }
}
