// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// How a tunnel ends, from either side. Owned by its tunnel.
package struct TunnelStateMachine: Sendable {
    package enum Side: Sendable {
        case client, server
    }

    package enum Action: Equatable {
        case none
        /// The other side has finished: pass its FIN on.
        case finishSending(Side)
        /// Close both once each has what the other sent it.
        case flushAndClose
        case closeNow
        /// Both are gone.
        case release
    }

    private enum State {
        case open
        /// This side has finished sending; the other one may go on.
        case halfClosed(Side)
        case closing
        /// This side is gone; the other one has still something to send off.
        case flushing(gone: Side)
        case gone
    }

    private var state = State.open

    package init() {}

    package var isHalfClosed: Bool {
        if case .halfClosed = state { return true }
        return false
    }

    package mutating func reachedEnd(of side: Side) -> Action {
        switch state {
        case .open:
            state = .halfClosed(side)
            return .finishSending(side == .client ? .server : .client)
        case .halfClosed:
            state = .closing
            return .flushAndClose
        case .closing, .flushing, .gone:
            // It had been read before the close was decided.
            return .none
        }
    }

    package mutating func closed(_ side: Side) -> Action {
        switch state {
        case .open, .halfClosed:
            state = .flushing(gone: side)
            return .flushAndClose
        case .closing:
            state = .flushing(gone: side)
            return .none
        case .flushing:
            state = .gone
            return .release
        case .gone:
            preconditionFailure("a connection closed twice in \(state)")
        }
    }

    package mutating func closeAsked() -> Action {
        switch state {
        case .open, .halfClosed:
            state = .closing
            return .flushAndClose
        case .closing, .flushing, .gone:
            return .none
        }
    }

    package mutating func timedOut() -> Action {
        switch state {
        case .open, .halfClosed:
            state = .closing
            return .closeNow
        case .closing, .flushing:
            return .closeNow
        case .gone:
            return .none
        }
    }
}
