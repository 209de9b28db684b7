// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What operators want of one server, and how far a drain has come. Owned by the control loop. Times are milliseconds of that loop's clock.
package struct AdministrativeStateMachine: Sendable {
    package enum Action: Equatable {
        case none
        /// Traffic again, through slow start; a pace at which tunnels are being closed stops.
        case returnToService
        /// Checks begin anew, as those of a server that has just come.
        case beginAnew
        /// Pinned clients only; from maintenance, checks begin anew too.
        case servePinned(resumesChecks: Bool)
        /// The drain's deadline: nobody is served any more, and the tunnels that are left close at the drain's pace.
        case closeTunnels
        /// No traffic and no checks from now on.
        case standDown
    }

    private enum State {
        case ready
        case draining(until: UInt64)
        case drained
        case maintained
    }

    private var state = State.ready

    package init() {}

    package var wish: AdministrativeState {
        switch state {
        case .ready: .ready
        case .draining, .drained: .drain
        case .maintained: .maint
        }
    }

    /// The deadline of a drain has passed.
    package var isDrained: Bool {
        switch state {
        case .drained: true
        case .ready, .draining, .maintained: false
        }
    }

    /// When a drain that is under way stops serving pinned clients.
    package var deadline: UInt64? {
        switch state {
        case .draining(let until): until
        case .ready, .drained, .maintained: nil
        }
    }

    package mutating func readyAsked() -> Action {
        switch state {
        case .ready:
            return .none
        case .draining, .drained:
            state = .ready
            return .returnToService
        case .maintained:
            state = .ready
            return .beginAnew
        }
    }

    /// A second wish for a drain doesn't move its deadline.
    package mutating func drainAsked(at now: UInt64, lasting milliseconds: UInt64) -> Action {
        switch state {
        case .ready:
            state = .draining(until: now + milliseconds)
            return .servePinned(resumesChecks: false)
        case .maintained:
            state = .draining(until: now + milliseconds)
            return .servePinned(resumesChecks: true)
        case .draining, .drained:
            return .none
        }
    }

    package mutating func maintenanceAsked() -> Action {
        switch state {
        case .ready, .draining, .drained:
            state = .maintained
            return .standDown
        case .maintained:
            return .none
        }
    }

    /// Called now and then.
    package mutating func timePassed(to now: UInt64) -> Action {
        switch state {
        case .draining(let until):
            guard now >= until else { return .none }
            state = .drained
            return .closeTunnels
        case .ready, .drained, .maintained:
            return .none
        }
    }
}
