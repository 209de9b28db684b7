// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor
import Synchronization

/// One lasting connection to PostgreSQL: connects again whenever it goes, and keeps what waits in the meantime, within limits.
///
/// Unchecked: everything mutable is confined to its loop, which every entry asserts; `ready` is atomic, the rest constant.
final class PostgresSession: @unchecked Sendable {
    enum Failure: Error {
        case refused(PostgresFailure, call: Int)
        /// Sent, and the connection went before the answer; only of work that must not be sent twice.
        case lost(PostgresFailure)
        /// Its time was over, whether it had been sent or not.
        case timedOut(sent: Bool)
        case overloaded
        case closed
    }

    typealias Completion = (Result<[PostgresResult], Failure>) -> Void

    /// Confined to the loop; a class, because the queue and the connection's callback share it.
    private final class Work {
        let calls: [PostgresCall]
        let resends: Bool
        /// What the server may take for each call, where that is not the session's own limit.
        let limit: Duration?
        let byteCount: Int
        let submittedAt: UInt64
        /// `UInt64.max` for none.
        let deadline: UInt64
        var sentAt: UInt64?
        /// Its first sending was lost and may be running still: what the second one answers may be older than what the first one does.
        var isOvertaken = false
        private var completion: Completion?

        init(
            _ calls: [PostgresCall],
            resends: Bool,
            limit: Duration?,
            at now: UInt64,
            deadline: UInt64,
            completion: @escaping Completion
        ) {
            self.calls = calls
            self.resends = resends
            self.limit = limit
            submittedAt = now
            self.deadline = deadline
            self.completion = completion
            byteCount = calls.reduce(0) { $0 + $1.byteCount }
        }

        var isOver: Bool { completion == nil }

        func end(_ result: Result<[PostgresResult], Failure>) {
            let completion = completion
            self.completion = nil
            completion?(result)
        }
    }

    let loop: Loop
    private let address: PostgresAddress
    private let configuration: StoreConfiguration
    private let metrics: StoreMetrics
    private let logger: Logger
    /// More on one connection adds delay, not speed.
    private static let deepestPipeline = 64

    private let ready = Atomic<Bool>(false)
    private var machine = SessionStateMachine()
    private var connector: PostgresConnector?
    private var connection: PostgresConnection?
    private var pause: LoopTimer?
    private var sweep: LoopTimer?
    private var waiting = FIFO<Work>()
    private var waitingBytes = 0
    private var sent: [Work] = []
    private var lastFailure: PostgresFailure?
    private var hasConnected = false
    /// What the metrics were last told of `waiting`.
    private var reportedWaiting = 0
    /// Called on the loop whenever a new connection can be used.
    var becameReady: (() -> Void)?

    init(address: PostgresAddress, configuration: StoreConfiguration, loop: Loop, metrics: StoreMetrics, logger: Logger) {
        self.address = address
        self.configuration = configuration
        self.loop = loop
        self.metrics = metrics
        self.logger = logger
    }

    /// From any thread.
    var isReady: Bool { ready.load(ordering: .relaxed) }

    // MARK: Life

    func start() {
        loop.assertCurrent()
        switch machine.started() {
        case .connect: connect()
        case .ignore: break
        }
    }

    /// Ends everything: what waits and what is in flight fails as closed.
    func close() {
        loop.assertCurrent()
        machine.closed()
        ready.store(false, ordering: .relaxed)
        connector?.cancel()
        connector = nil
        pause?.cancel()
        sweep?.cancel()
        connection?.close()
        connection = nil
        while let work = waiting.popFirst() { work.end(.failure(.closed)) }
        waitingBytes = 0
        reportWaiting()
    }

    private func connect() {
        connector = PostgresConnector(
            to: address,
            setup: configuration.sessionSetup,
            timeout: configuration.connectTimeout,
            on: loop
        ) { [self] result in
            connector = nil
            switch result {
            case .success(let connection): connected(connection)
            case .failure(let failure):
                // One line when it goes, none for each further attempt.
                if lastFailure == nil { logger.warning("database_unreachable", metadata: ["reason": "\(failure.message)"]) }
                lastFailure = failure
                retry(machine.connectFailed())
            }
        }
    }

    private func connected(_ connection: PostgresConnection) {
        switch machine.connected() {
        case .close:
            connection.close()
        case .use:
            if lastFailure != nil { logger.notice("database_reached_again") }
            lastFailure = nil
            if hasConnected { metrics.reconnected() }
            hasConnected = true
            self.connection = connection
            connection.lost = { [self] in connectionLost($0) }
            connection.enterPipeline()
            ready.store(true, ordering: .relaxed)
            pump()
            becameReady?()
        }
    }

    private func connectionLost(_ failure: PostgresFailure) {
        logger.warning("database_connection_lost", metadata: ["reason": "\(failure.message)"])
        lastFailure = failure
        ready.store(false, ordering: .relaxed)
        connection = nil
        retry(machine.lost())
    }

    private func retry(_ action: SessionStateMachine.LossAction) {
        switch action {
        case .connectAfter(let pause):
            // Jitter, so that a hundred processes don't come back in step.
            self.pause = loop.after(pause * Double.random(in: 0.5...1)) { [self] in
                switch machine.pauseEnded() {
                case .connect: connect()
                case .ignore: break
                }
            }
        case .ignore:
            break
        }
    }

    // MARK: Work

    /// Runs the calls as one transaction. `resends`: sent again by itself after a lost connection; for work that may be done twice.
    /// Without `timeout` only the server's limits end it: `limit` for each call, or else the timeout's or the session's own. `completion` runs
    /// on the loop, exactly once.
    func submit(
        _ calls: [PostgresCall],
        timeout: Duration?,
        limit: Duration? = nil,
        resends: Bool,
        completion: @escaping Completion
    ) {
        loop.assertCurrent()
        let now = loop.milliseconds
        let deadline = timeout.map { now + $0.wholeMilliseconds } ?? .max
        // Whoever waits longer than a request may also be worked for longer.
        let limit = limit ?? timeout.flatMap { $0 > configuration.statementTimeout ? $0 : nil }
        let work = Work(calls, resends: resends, limit: limit, at: now, deadline: deadline, completion: completion)
        guard !machine.isClosed else { return work.end(.failure(.closed)) }
        let isFull = waiting.count >= configuration.waitingCalls || waitingBytes + work.byteCount > configuration.waitingBytes
        // Something larger than the limit passes when nothing else waits.
        guard !isFull || waiting.isEmpty else {
            metrics.refused(.full)
            return work.end(.failure(.overloaded))
        }
        waiting.append(work)
        waitingBytes += work.byteCount
        pump()
        armSweep()
    }

    private func pump() {
        // A connection that failed inside `send` is closed before it says so.
        while let connection, connection.isOpen, sent.count < Self.deepestPipeline, let work = waiting.popFirst() {
            waitingBytes -= work.byteCount
            if work.isOver { continue }
            if sent.isEmpty { metrics.connectionBecameBusy() }
            sent.append(work)
            let now = loop.milliseconds
            work.sentAt = now
            metrics.waited(milliseconds: now - work.submittedAt)
            let calls = work.limit.map { [Self.limit.call(milliseconds: $0.wholeMilliseconds)] + work.calls } ?? work.calls
            connection.send(PostgresSegment(calls: calls) { [self] in ended(work, $0) })
        }
    }

    /// For the rest of its transaction.
    private static let limit = PostgresStatement("statement_limit", "SELECT set_config('statement_timeout', $1, true)")

    private func ended(_ work: Work, _ outcome: PostgresSegment.Outcome) {
        sent.removeAll { $0 === work }
        if sent.isEmpty { metrics.connectionBecameIdle() }
        // The limit's call stands in front of the caller's own.
        let extra = work.limit == nil ? 0 : 1
        switch outcome {
        case .answered where work.isOvertaken, .refused where work.isOvertaken:
            // It has waited for the first sending, if that was in its way; once more, and it sees what that did.
            machine.answered()
            work.isOvertaken = false
            again(work)
        case .answered(let results):
            machine.answered()
            work.end(.success(extra == 0 ? results : Array(results.dropFirst(extra))))
        case .refused(let failure, let call):
            machine.answered()
            // Only resending work is retried here, while its time lasts: a batch has its own rules.
            if work.resends, failure.isTransient || failure.isLockTimeout {
                again(work)
            } else {
                work.end(.failure(.refused(failure, call: max(0, call - extra))))
            }
        case .lost(let failure):
            guard work.resends, !machine.isClosed else { return work.end(.failure(.lost(failure))) }
            work.isOvertaken = true
            again(work)
        }
        pump()
    }

    private func again(_ work: Work) {
        guard !work.isOver else { return }
        work.sentAt = nil
        waiting.append(work)
        waitingBytes += work.byteCount
        armSweep()
    }

    // MARK: Time limits

    private func armSweep() {
        guard sweep == nil else { return }
        sweep = loop.after(.milliseconds(100)) { [self] in
            sweep = nil
            expire()
            reportWaiting()
            if !waiting.isEmpty || !sent.isEmpty, !machine.isClosed { armSweep() }
        }
    }

    private func expire() {
        let now = loop.milliseconds
        for work in sent where work.deadline <= now { work.end(.failure(.timedOut(sent: true))) }
        waiting.forEach { work in
            guard work.deadline <= now, !work.isOver else { return }
            metrics.refused(.timeout)
            work.end(.failure(.timedOut(sent: false)))
        }
        // Those over are mostly at the front, and must not take the place of others while there is no connection.
        while let first = waiting.first, first.isOver {
            waitingBytes -= first.byteCount
            _ = waiting.popFirst()
        }
        guard let connection, connection.isOpen else { return }
        if connection.reports(anyOf: address.unwantedStates) {
            connection.abandon(.connection("the server takes no writes any more"))
        } else if let oldest = sent.first, let sentAt = oldest.sentAt {
            // The server's own limits have passed: this connection will never answer (a paused server, a network that swallows).
            let silence = configuration.silence(limit: oldest.limit).wholeMilliseconds
            if max(sentAt, connection.heardAt) + silence <= now { connection.abandon(.connection("no answer within \(silence) ms")) }
        }
    }

    private func reportWaiting() {
        metrics.waiting(changedBy: waiting.count - reportedWaiting)
        reportedWaiting = waiting.count
    }
}

extension PostgresStatement {
    fileprivate func call(milliseconds: UInt64) -> PostgresCall { call { $0.add(String(milliseconds)) } }
}
