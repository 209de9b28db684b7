// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// When to connect, and when again: of one session.
package struct SessionStateMachine {
    private enum State {
        case stopped
        case connecting(failures: Int)
        /// `failures` counts this connection too until it has answered something: one that accepts and then fails must not be tried in a spin.
        case ready(failures: Int)
        case waiting(failures: Int)
        case closed
    }

    package enum StartAction: Equatable {
        case connect
        case ignore
    }

    package enum LossAction: Equatable {
        /// Before jitter.
        case connectAfter(Duration)
        case ignore
    }

    package enum ConnectAction: Equatable {
        case use
        /// The session was closed in the meantime.
        case close
    }

    private var state = State.stopped
    private static let longestPause = Duration.seconds(1)

    package init() {}

    package var isReady: Bool {
        switch state {
        case .ready: true
        case .stopped, .connecting, .waiting, .closed: false
        }
    }

    package var isClosed: Bool {
        switch state {
        case .closed: true
        case .stopped, .connecting, .ready, .waiting: false
        }
    }

    package mutating func started() -> StartAction {
        switch state {
        case .stopped:
            state = .connecting(failures: 0)
            return .connect
        case .connecting, .ready, .waiting, .closed:
            return .ignore
        }
    }

    package mutating func connected() -> ConnectAction {
        switch state {
        case .connecting(let failures):
            state = .ready(failures: failures + 1)
            return .use
        case .closed:
            return .close
        case .stopped, .ready, .waiting:
            preconditionFailure("connected while \(state)")
        }
    }

    /// The connection has done some work.
    package mutating func answered() {
        switch state {
        case .ready:
            state = .ready(failures: 0)
        case .stopped, .connecting, .waiting, .closed:
            // The last answers of a connection are read while it is being given up.
            break
        }
    }

    package mutating func connectFailed() -> LossAction {
        switch state {
        case .connecting(let failures):
            state = .waiting(failures: failures + 1)
            return .connectAfter(Self.pause(failures: failures))
        case .closed:
            // Closed while the attempt was under way.
            return .ignore
        case .stopped, .ready, .waiting:
            preconditionFailure("connect failed while \(state)")
        }
    }

    /// An open connection went. After one that worked the first new attempt comes at once, since a restarted server is often back.
    package mutating func lost() -> LossAction {
        switch state {
        case .ready(let failures):
            state = .waiting(failures: failures)
            return .connectAfter(failures == 0 ? .zero : Self.pause(failures: failures - 1))
        case .closed:
            return .ignore
        case .stopped, .connecting, .waiting:
            preconditionFailure("lost while \(state)")
        }
    }

    package mutating func pauseEnded() -> StartAction {
        switch state {
        case .waiting(let failures):
            state = .connecting(failures: failures)
            return .connect
        case .closed:
            return .ignore
        case .stopped, .connecting, .ready:
            preconditionFailure("pause ended while \(state)")
        }
    }

    package mutating func closed() {
        state = .closed
    }

    /// 50 ms, doubled with each failure, one second at most: a database that is away must be noticed when it is back.
    private static func pause(failures: Int) -> Duration {
        min(longestPause, .milliseconds(50) * (1 << min(failures, 5)))
    }
}
