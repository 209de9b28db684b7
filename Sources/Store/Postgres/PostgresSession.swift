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
        let byteCount: Int
        /// `UInt64.max` for none.
        let deadline: UInt64
        var sentAt: UInt64?
        private var completion: Completion?

        init(_ calls: [PostgresCall], resends: Bool, deadline: UInt64, completion: @escaping Completion) {
            self.calls = calls
            self.resends = resends
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
    /// Without `timeout` only the server's limits end it. `completion` runs on the loop, exactly once.
    func submit(_ calls: [PostgresCall], timeout: Duration?, resends: Bool, completion: @escaping Completion) {
        loop.assertCurrent()
        let deadline = timeout.map { loop.milliseconds + $0.wholeMilliseconds } ?? .max
        let work = Work(calls, resends: resends, deadline: deadline, completion: completion)
        guard !machine.isClosed else { return work.end(.failure(.closed)) }
        let isFull = waiting.count >= configuration.waitingCalls || waitingBytes + work.byteCount > configuration.waitingBytes
        // Something larger than the limit passes when nothing else waits.
        guard !isFull || waiting.isEmpty else { return work.end(.failure(.overloaded)) }
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
            work.sentAt = loop.milliseconds
            connection.send(PostgresSegment(calls: work.calls) { [self] in ended(work, $0) })
        }
    }

    private func ended(_ work: Work, _ outcome: PostgresSegment.Outcome) {
        sent.removeAll { $0 === work }
        if sent.isEmpty { metrics.connectionBecameIdle() }
        switch outcome {
        case .answered(let results): work.end(.success(results))
        case .refused(let failure, let call):
            // Only resending work is retried here: a batch has its own rules.
            if failure.isTransient, work.resends { again(work) } else { work.end(.failure(.refused(failure, call: call))) }
        case .lost(let failure):
            if work.resends, !machine.isClosed { again(work) } else { work.end(.failure(.lost(failure))) }
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
            if !waiting.isEmpty || !sent.isEmpty, !machine.isClosed { armSweep() }
        }
    }

    private func expire() {
        let now = loop.milliseconds
        for work in sent where work.deadline <= now { work.end(.failure(.timedOut(sent: true))) }
        // Those over stay in the queue as empty shells until they reach its front.
        waiting.forEach { work in
            if work.deadline <= now { work.end(.failure(.timedOut(sent: false))) }
        }
        // The server's own limits have passed: this connection will never answer (a paused server, a network that swallows).
        let patience = (configuration.statementTimeout + configuration.connectTimeout).wholeMilliseconds
        if let sentAt = sent.first?.sentAt, sentAt + patience <= now {
            let connection = connection
            connection?.abandon(.connection("no answer within \(patience) ms"))
        }
    }
}

extension StoreConfiguration {
    /// What every connection runs under. Plans: generic ones, and by index, whatever the statistics say; a plan made while the tables were empty
    /// must not scan them when they are full. The last lines keep parameters out of the server's own log.
    var sessionSetup: String {
        """
        SET statement_timeout = \(statementTimeout.wholeMilliseconds);
        SET lock_timeout = \(lockTimeout.wholeMilliseconds);
        SET idle_in_transaction_session_timeout = 60000;
        SET plan_cache_mode = force_generic_plan;
        SET enable_seqscan = off;
        SET jit = off;
        SET log_parameter_max_length_on_error = 0;
        SET client_min_messages = error;
        """
    }
}
