// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Metrics
import Reactor

/// Getting the request to a server, and to another one where that fails.
extension Exchange {
    /// The exchange has taken its place at the server already.
    func attempt(at place: PoolView.Place, onNewConnection: Bool) {
        guard let transport = pool?.snapshot.transport else { return }
        self.place = place
        logged?.attemptBegan(at: MonotonicClock.nanoseconds())
        if !onNewConnection, let idle = takeIdle(of: place) {
            upstream = idle
            sendOpening()
            return
        }
        // The connect has its own time.
        client.clearDeadline()
        balanceClient()
        connector = transport.connect(to: place.server.endpoint, on: host.loop, timeout: settings.limits.connect) { result in
            self.connected(result, to: place, over: transport)
        }
    }

    private func takeIdle(of place: PoolView.Place) -> UpstreamConnection? {
        while let idle = place.idle.take() {
            if idle.reuse(by: self) { return idle }
        }
        return nil
    }

    private func connected(_ result: Result<Connection, ReactorError>, to place: PoolView.Place, over transport: ServerTransport) {
        connector = nil
        switch result {
        case .success(let connection):
            upstream = UpstreamConnection(connection, place: place, over: transport, host: host, user: self)
            sendOpening()
        case .failure(let error):
            place.counts.tally.add(to: .connectFailures)
            if error.isServersFault { settings.shared.connectFailed(place.server) }
            place.tellOfTLS(error, host)
            perform(attempts.connectFailed(as: error.code == .tlsFailed ? .serverTLSFailed : .serverUnreachable))
        }
    }

    private func sendOpening() {
        guard let upstream else { return }
        switch upstream.connection.write(opening) {
        case .sent, .pending:
            attempts.openingSent()
            logged?.connectedAt = MonotonicClock.nanoseconds()
            place?.counts.tally.add(opening.count, to: .bytesIn)
            balanceClient()
            if machine.isRequestComplete { client.setDeadline(in: settings.times.response) } else { awaitBody() }
        case .refused, .closed:
            // Nothing of it has left.
            attemptDied()
        }
    }

    /// The connection is gone before the response's first byte.
    func attemptDied() {
        let isReused = upstream?.isReused ?? false
        partialResponse = nil
        perform(attempts.connectionDied(isReused: isReused))
    }

    func perform(_ action: AttemptStateMachine.Action) {
        switch action {
        case .refuse(let refusal):
            refuse(refusal)
        case .tryAnotherServer(let otherwise):
            if !retryElsewhere() { refuse(otherwise) }
        case .tryNewConnection(let otherwise):
            if !retryHere(), !retryElsewhere() { refuse(otherwise) }
        case .tryAnotherServerOrPassOn, .passOn:
            preconditionFailure("only an upgrade's answer is passed on")
        }
    }

    /// At the same server, where that still serves. False, and nothing is changed, where it doesn't or too much is being retried already.
    private func retryHere() -> Bool {
        guard let place, let pool, pool.isServing(place.server), pool.budget.takeRetry(at: host.loop.milliseconds) else { return false }
        settings.metrics.retries.increment()
        place.counts.tally.add(to: .retries)
        logged?.retries += 1
        upstream?.close()
        upstream = nil
        attempt(at: place, onNewConnection: true)
        return true
    }

    /// False, and nothing is changed, where there is nowhere to go or too much is being retried already.
    func retryElsewhere() -> Bool {
        if let place { tried.append(place.server) }
        guard let pool, !(wish.isBound && wish.pinned != nil), case .place(let next) = pool.take(key: wish.key, avoiding: tried) else {
            return false
        }
        guard pool.budget.takeRetry(at: host.loop.milliseconds) else {
            next.server.exchangeEnded()
            return false
        }
        settings.metrics.retries.increment()
        place?.counts.tally.add(to: .redispatches)
        logged?.retries += 1
        logged?.isRedispatched = true
        attemptEnded()
        attempt(at: next, onNewConnection: false)
        return true
    }
}

extension ReactorError {
    /// Our own lack of descriptors, ports or rights says nothing about the server.
    fileprivate var isServersFault: Bool {
        switch code {
        case .connectRefused, .connectTimedOut, .connectionReset, .nameNotFound, .tlsFailed, .other: true
        case .addressInUse, .addressInvalid, .permissionDenied, .tooManyFiles: false
        }
    }
}
