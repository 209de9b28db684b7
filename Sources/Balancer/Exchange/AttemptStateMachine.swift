// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Which failures on the way to a response's first byte are tried again, and where. Owned by an exchange. Whether there is another server
/// and whether the retry budget allows it is the driver's to find out: an attempt it can't make ends as `otherwise` says.
package struct AttemptStateMachine: Sendable {
    package enum Action: Equatable {
        /// A connection to a server that was not tried yet.
        case tryAnotherServer(otherwise: Refusal)
        /// A new connection, to the same server if it is still up: only the old connection was stale.
        case tryNewConnection(otherwise: Refusal)
        case refuse(Refusal)
        /// The server's 503 says that it did nothing: as `tryAnotherServer`, but otherwise its answer stands.
        case tryAnotherServerOrPassOn
        case passOn
    }

    private enum State {
        /// No byte has left on this attempt.
        case unsent
        /// The opening bytes (head, and what had come of the body) have left, nothing else has.
        case sent
        /// Body bytes that nobody keeps have left.
        case beyondReplay
    }

    private static let maxAttempts = 3

    private let isReplayable: Bool
    private var state = State.unsent
    private var attempts = 1
    private var hasReplayed = false
    private var hasMoved = false

    /// `isReplayable`: the request may reach a server twice.
    package init(isReplayable: Bool) {
        self.isReplayable = isReplayable
    }

    package mutating func openingSent() {
        if case .unsent = state { state = .sent }
    }

    package mutating func bodyMovedOn() {
        state = .beyondReplay
    }

    /// Nothing was sent, so any method may go elsewhere.
    package mutating func connectFailed(as refusal: Refusal = .serverUnreachable) -> Action {
        guard attempts < Self.maxAttempts else { return .refuse(refusal) }
        attempts += 1
        return .tryAnotherServer(otherwise: refusal)
    }

    /// The connection died before the response's first byte.
    package mutating func connectionDied(isReused: Bool) -> Action {
        guard attempts < Self.maxAttempts else { return .refuse(.serverFailed) }
        switch state {
        case .unsent:
            attempts += 1
            return .tryNewConnection(otherwise: .serverFailed)
        case .sent:
            // An idle connection's end says little. The new one's may say that the server is on its way out: its port took us in
            // before the process was gone. So that one, and only that one, is the replay that a request has.
            guard isReplayable, isReused || !hasReplayed else { return .refuse(.serverFailed) }
            hasReplayed = hasReplayed || !isReused
            attempts += 1
            state = .unsent
            return isReused ? .tryNewConnection(otherwise: .serverFailed) : .tryAnotherServer(otherwise: .serverFailed)
        case .beyondReplay:
            return .refuse(.serverFailed)
        }
    }

    /// An upgrade was answered 503: the server is full or draining, another one may not be.
    package mutating func upgradeRefused() -> Action {
        moveOn()
    }

    /// A request was answered 503 by a server that says that it is draining, which nobody had noticed yet: an event stream of a gateway that
    /// was told to end a moment ago would otherwise fail for good.
    package mutating func drainingAnswered() -> Action {
        isReplayable ? moveOn() : .passOn
    }

    private mutating func moveOn() -> Action {
        if case .beyondReplay = state { return .passOn }
        guard !hasMoved, attempts < Self.maxAttempts else { return .passOn }
        hasMoved = true
        attempts += 1
        state = .unsent
        return .tryAnotherServerOrPassOn
    }
}
