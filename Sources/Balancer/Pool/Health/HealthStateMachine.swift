// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// What is known of one server, and what follows for its traffic. Owned by the control loop. Times are milliseconds of that loop's clock.
package struct HealthStateMachine: Sendable {
    package enum Standing: String, Sendable, CaseIterable {
        case up
        /// Its own wish: no new requests and tunnels, those it has stay.
        case draining
        /// Checks failed `fall` times.
        case down
        /// Connects failed `maxFails` times; the checks have not confirmed it yet.
        case ejected
    }

    package enum Action: Equatable {
        case none
        case stand(Standing)
        /// The traffic's doubt is worth a look before the next interval.
        case checkNow
        /// Take it out if the pool can spare it; `ejected` or nothing follows.
        case proposeEjection
    }

    private enum State {
        case up(failures: Int)
        case draining(failures: Int)
        case down(passes: Int)
        case ejected(failures: Int, until: UInt64)
    }

    private var health: HealthConfiguration
    private var passive: PassiveConfiguration
    private var state = State.up(failures: 0)
    /// Times of the failed connects within the window.
    private var connectFailures: [UInt64] = []

    package init(health: HealthConfiguration, passive: PassiveConfiguration) {
        self.health = health
        self.passive = passive
    }

    /// What was counted so far is measured by the new numbers from the next event on.
    package mutating func configure(health: HealthConfiguration, passive: PassiveConfiguration) {
        self.health = health
        self.passive = passive
    }

    package var standing: Standing {
        switch state {
        case .up: .up
        case .draining: .draining
        case .down: .down
        case .ejected: .ejected
        }
    }

    package mutating func checkPassed() -> Action {
        connectFailures = []
        switch state {
        case .up:
            state = .up(failures: 0)
            return .none
        case .draining, .ejected:
            state = .up(failures: 0)
            return .stand(.up)
        case .down(let passes):
            guard passes + 1 >= health.rise else {
                state = .down(passes: passes + 1)
                return .none
            }
            state = .up(failures: 0)
            return .stand(.up)
        }
    }

    /// The answer carried `Keyvane-State: draining`, whatever its status.
    package mutating func checkAnsweredDraining() -> Action {
        connectFailures = []
        switch state {
        case .draining:
            state = .draining(failures: 0)
            return .none
        case .up, .down, .ejected:
            state = .draining(failures: 0)
            return .stand(.draining)
        }
    }

    package mutating func checkFailed() -> Action {
        switch state {
        case .up(let failures):
            guard failures + 1 >= health.fall else {
                state = .up(failures: failures + 1)
                return .none
            }
        case .draining(let failures):
            guard failures + 1 >= health.fall else {
                state = .draining(failures: failures + 1)
                return .none
            }
        case .ejected(let failures, let until):
            guard failures + 1 >= health.fall else {
                state = .ejected(failures: failures + 1, until: until)
                return .none
            }
        case .down:
            state = .down(passes: 0)
            return .none
        }
        state = .down(passes: 0)
        return .stand(.down)
    }

    /// A connect for a client was refused, reset or took too long.
    package mutating func connectFailed(at now: UInt64) -> Action {
        let window = passive.failTimeout.wholeMilliseconds
        connectFailures.removeAll { $0 + window <= now }
        connectFailures.append(now)
        switch state {
        case .up:
            return connectFailures.count >= passive.maxFails ? .proposeEjection : .checkNow
        case .draining:
            return .checkNow
        case .down, .ejected:
            // A loop that has not seen the newer snapshot yet.
            return .none
        }
    }

    /// The answer to `proposeEjection`.
    package mutating func ejectionAllowed(at now: UInt64) -> Action {
        switch state {
        case .up(let failures):
            connectFailures = []
            state = .ejected(failures: failures, until: now + passive.failTimeout.wholeMilliseconds)
            return .stand(.ejected)
        case .draining, .down, .ejected:
            return .none
        }
    }

    /// Called now and then: an ejection ends by itself where no check has decided earlier.
    package mutating func timePassed(to now: UInt64) -> Action {
        switch state {
        case .ejected(let failures, let until):
            guard now >= until else { return .none }
            state = .up(failures: failures)
            return .stand(.up)
        case .up, .draining, .down:
            return .none
        }
    }
}
