// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Decides what a watch does next: subscribe, deliver, reconnect, give up. Owned by the session; times are counted from any fixed
/// moment, and a jitter is a random number from 0 up to 1.
package struct WatchStateMachine: Sendable {
    package enum Action: Sendable, Equatable {
        case none
        case connect
        case send(ClientMessage)
        case deliver(WatchEvent, andSend: ClientMessage?)
        case checkSilence(after: Duration)
        /// Close what is open, tell the consumer, and connect again later.
        case reconnect(WatchInterruption)
        /// Close what is open and end the sequence with the error.
        case finish(ClientError)
    }

    private enum State {
        case idle
        case connecting
        case open(Open)
        case waiting
        case finished
    }

    private struct Open {
        var phase: Phase
        let openedAt: Duration
        var heardAt: Duration
        var silenceTimeout: Duration
        var announcedDelay: Duration?
    }

    /// How far the newest subscription on this connection is.
    private enum Phase {
        case requested(id: Int)
        case granted
        case live
    }

    private let settings: WatchSettings
    private var state = State.idle
    private var subscription: WatchSubscription
    /// The revision of the last frame on this subscription, or the one it started from. Not the cursor's: a heartbeat moves the
    /// cursor past changes that this watch may not see, and `previousRevision` doesn't follow there.
    private var frameRevision: Int?
    private var nextID = 1
    private var lastAcknowledgement: ClientMessage.Acknowledgement?
    private var backoff: Backoff

    package init(_ subscription: WatchSubscription, settings: WatchSettings) {
        self.subscription = subscription
        self.settings = settings
        backoff = Backoff(initial: settings.initialBackoff, maximum: settings.maximumBackoff)
    }

    /// Where a new subscription would resume.
    package var cursor: WatchCursor? { subscription.since }

    // MARK: - The connection

    package mutating func started() -> Action {
        switch state {
        case .idle:
            state = .connecting
            return .connect
        case .finished:
            // Stopped before the first event was asked for.
            return .none
        case .connecting, .open, .waiting:
            preconditionFailure("started in state \(state)")
        }
    }

    package mutating func connected(at now: Duration) -> Action {
        switch state {
        case .connecting:
            state = .open(Open(phase: .requested(id: nextID), openedAt: now, heardAt: now, silenceTimeout: settings.silenceTimeout))
            return .send(subscribe())
        case .finished:
            // Stopped while the connection was being made; the driver closes it.
            return .none
        case .idle, .open, .waiting:
            preconditionFailure("connected in state \(state)")
        }
    }

    /// The connection could not be opened: no answer, or an answer with an HTTP status instead of the upgrade.
    package mutating func connectFailed(_ error: ClientError, jitter: Double) -> Action {
        switch state {
        case .connecting:
            switch error.status {
            case .none:
                return reconnect(error, after: backoff.next(jitter: jitter))
            case 429:
                return reconnect(error, after: error.retryAfter ?? pause(jitter: jitter))
            case 408, .some(500...):
                // Every client that the server sent away hears the same Retry-After: the backoff on top spreads them.
                return reconnect(error, after: (error.retryAfter ?? .zero) + backoff.next(jitter: jitter))
            case .some:
                return finish(error)
            }
        case .finished:
            // Stopped while the connection was being made.
            return .none
        case .idle, .open, .waiting:
            preconditionFailure("connectFailed in state \(state)")
        }
    }

    package mutating func closed(code: Int?, reason: String, at now: Duration, jitter: Double) -> Action {
        switch state {
        case .open(let open):
            if now - open.openedAt >= settings.stableAfter { backoff.reset() }
            let error = WatchCloseCode.error(of: code, reason: reason)
            if code == 4429 { return reconnect(error, after: pause(jitter: jitter)) }
            if let code, code >= 4400 { return finish(error) }
            return reconnect(error, after: open.announcedDelay ?? backoff.next(jitter: jitter))
        case .idle, .connecting, .waiting, .finished:
            // This side had given the connection up already.
            return .none
        }
    }

    /// Bytes arrived, whatever they mean: a large snapshot on a slow line is not silence.
    package mutating func heard(at now: Duration) {
        switch state {
        case .open(var open):
            open.heardAt = now
            state = .open(open)
        case .idle, .connecting, .waiting, .finished:
            // The upgrade's answer, or the last bytes of a connection that was given up.
            break
        }
    }

    package mutating func silenceChecked(at now: Duration, jitter: Double) -> Action {
        switch state {
        case .open(let open):
            let rest = open.heardAt + open.silenceTimeout - now
            if rest > .zero { return .checkSilence(after: rest) }
            if now - open.openedAt >= settings.stableAfter { backoff.reset() }
            let error = ClientError(code: "silent", message: "The gateway has sent nothing, not even a heartbeat, and counts as dead.")
            return reconnect(error, after: backoff.next(jitter: jitter))
        case .idle, .connecting, .waiting, .finished:
            // The timer was on its way when the connection ended.
            return .none
        }
    }

    /// A message can't be read. What this watch knows may be incomplete from here on: it starts over with a snapshot.
    package mutating func unreadable(_ error: ClientError, jitter: Double) -> Action {
        switch state {
        case .open:
            // The same message would come again.
            if error.code == WatchCloseCode.tooLarge { return finish(error) }
            subscription.since = nil
            return reconnect(error, after: backoff.next(jitter: jitter))
        case .idle, .connecting, .waiting, .finished:
            // This side had given the connection up already.
            return .none
        }
    }

    package mutating func delayElapsed() -> Action {
        switch state {
        case .waiting:
            state = .connecting
            return .connect
        case .finished:
            // Stopped while waiting.
            return .none
        case .idle, .connecting, .open:
            preconditionFailure("delayElapsed in state \(state)")
        }
    }

    package mutating func stopped() {
        state = .finished
    }

    // MARK: - Messages

    package mutating func received(_ message: ServerMessage, jitter: Double) -> Action {
        switch state {
        case .open(let open):
            return received(message, on: open, jitter: jitter)
        case .idle, .connecting, .waiting, .finished:
            // Messages that were on their way when this side gave the connection up.
            return .none
        }
    }

    private mutating func received(_ message: ServerMessage, on open: Open, jitter: Double) -> Action {
        var open = open
        switch message {
        case .ready(let ready):
            // A gateway with a slower heartbeat isn't dead between two of them: two may be late, as 45 s are to 20 s.
            if let heartbeat = ready.heartbeat { open.silenceTimeout = max(open.silenceTimeout, heartbeat * 9 / 4) }
            state = .open(open)
            return .deliver(.connected(ready.connection), andSend: nil)
        case .subscribed(let id, let environment):
            // An answer to an older subscription of this connection is out of date.
            guard environment == subscription.environment, case .requested(let expected) = open.phase, id == expected else { return .none }
            open.phase = .granted
            state = .open(open)
            return .none
        case .snapshot(let snapshot):
            guard snapshot.environment == subscription.environment else { return .none }
            return snapshotReceived(snapshot, on: open)
        case .changes(let changes):
            guard changes.environment == subscription.environment else { return .none }
            return changesReceived(changes, on: open, jitter: jitter)
        case .heartbeat(let heads):
            guard case .live = open.phase, let head = heads[subscription.environment], head.revision >= frameRevision ?? 0 else {
                return .none
            }
            subscription.since = head
            return .none
        case .unsubscribed(let environment):
            // Never asked for, so a grant has changed: the answer to another subscription tells.
            guard environment == subscription.environment else { return .none }
            return .send(subscribe())
        case .error(let refusal):
            return refused(refusal, on: open, jitter: jitter)
        case .closing(let closing):
            if closing.reason == "deleted", closing.environment ?? subscription.environment == subscription.environment {
                return finish(WatchCloseCode.error(of: 4404, reason: ""))
            }
            open.announcedDelay = closing.reconnectAfterMs.map { .milliseconds(max(0, $0)) }
            state = .open(open)
            return .none
        case .unknown:
            return .none
        }
    }

    private mutating func snapshotReceived(_ snapshot: WatchSnapshot, on open: Open) -> Action {
        switch open.phase {
        case .requested:
            // Sent before the gateway read the newest subscription, whose own snapshot follows.
            return .none
        case .granted, .live:
            let acknowledgement = frameTaken(on: open, revision: snapshot.revision, cursor: snapshot.cursor)
            return .deliver(.snapshot(snapshot), andSend: acknowledgement)
        }
    }

    private mutating func changesReceived(_ changes: WatchChanges, on open: Open, jitter: Double) -> Action {
        switch open.phase {
        case .requested:
            // Sent before the gateway read the newest subscription, whose own answer follows.
            return .none
        case .granted, .live:
            guard let frameRevision else {
                // Changes to nothing. Asking for the snapshot again at once could go round in circles.
                let message = "The gateway sent changes where a snapshot was asked for."
                return reconnect(ClientError(code: "invalid_answer", message: message), after: backoff.next(jitter: jitter))
            }
            guard changes.previousRevision == frameRevision, changes.revision >= frameRevision else {
                // Something between is missing, and nobody can say what.
                return startOver()
            }
            let acknowledgement = frameTaken(on: open, revision: changes.revision, cursor: changes.cursor)
            return .deliver(.changes(changes), andSend: acknowledgement)
        }
    }

    private mutating func refused(_ refusal: ServerMessage.Refusal, on open: Open, jitter: Double) -> Action {
        guard case .requested(let id) = open.phase, refusal.id == id else {
            // Not about the subscription: an acknowledgement that came too late, say. A close follows where it is serious.
            return .none
        }
        let error = ClientError(code: refusal.code, message: refusal.message ?? "The gateway refused the subscription.")
        let isPassing = ["unavailable", "overloaded", "draining", "too_fast", "timeout", "internal_error"].contains(refusal.code)
        return isPassing ? reconnect(error, after: backoff.next(jitter: jitter)) : finish(error)
    }

    // MARK: - The consumer

    /// The consumer is so far behind that even the merged changes are too much.
    package mutating func overflowed() -> Action {
        switch state {
        case .open:
            return startOver()
        case .idle, .connecting, .waiting, .finished:
            subscription.since = nil
            return .none
        }
    }

    package mutating func acknowledged(revision: Int, status: AcknowledgementStatus) -> Action {
        // The gateway doesn't expect it from a watch that hasn't offered it.
        guard subscription.acknowledges else { return .none }
        let acknowledgement = ClientMessage.Acknowledgement(
            environment: subscription.environment,
            revision: revision,
            status: status
        )
        lastAcknowledgement = acknowledgement
        guard case .open(let open) = state, case .live = open.phase else { return .none }
        return .send(.acknowledge(acknowledgement))
    }

    // MARK: - Steps

    private mutating func subscribe() -> ClientMessage {
        guard case .open(var open) = state else { preconditionFailure("subscribe in state \(state)") }
        let id = nextID
        nextID += 1
        open.phase = .requested(id: id)
        state = .open(open)
        frameRevision = subscription.since?.revision
        return .subscribe(id: id, subscription)
    }

    private mutating func startOver() -> Action {
        subscription.since = nil
        return .send(subscribe())
    }

    /// Notes a frame; the first one of a subscription has the last acknowledgement sent again, of which a new connection knows nothing.
    private mutating func frameTaken(on open: Open, revision: Int, cursor: WatchCursor) -> ClientMessage? {
        frameRevision = revision
        subscription.since = cursor
        switch open.phase {
        case .requested, .live:
            return nil
        case .granted:
            var open = open
            open.phase = .live
            state = .open(open)
            return lastAcknowledgement.map { .acknowledge($0) }
        }
    }

    private mutating func reconnect(_ error: ClientError, after delay: Duration) -> Action {
        state = .waiting
        return .reconnect(WatchInterruption(error: error, retryAfter: delay))
    }

    private mutating func finish(_ error: ClientError) -> Action {
        state = .finished
        return .finish(error)
    }

    // Between half the pause and all of it: the server asked for a pause, so zero isn't one.
    private func pause(jitter: Double) -> Duration {
        settings.tooFastPause * (0.5 + jitter / 2)
    }
}
