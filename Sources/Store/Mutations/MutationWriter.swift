// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor

/// One writing connection and what waits for it.
///
/// Unchecked: everything mutable is confined to its loop, which every entry asserts.
final class MutationWriter: @unchecked Sendable {
    typealias Completion = (Result<PostgresResult, PostgresSession.Failure>) -> Void

    private struct Pending {
        let parameters: PostgresParameters
        let deadline: UInt64
        let completion: Completion
    }

    var loop: Loop { session.loop }
    /// From any thread.
    var isReady: Bool { session.isReady }

    private let session: PostgresSession
    private let configuration: StoreConfiguration
    private let metrics: StoreMetrics
    private var machine = WriterStateMachine()
    /// By ticket; one that is over is gone from here, wherever the machine has it.
    private var pending: [Int: Pending] = [:]
    private var pendingBytes = 0
    private var lastTicket = 0
    private var sweep: LoopTimer?
    private var isClosed = false

    init(session: PostgresSession, configuration: StoreConfiguration, metrics: StoreMetrics) {
        self.session = session
        self.configuration = configuration
        self.metrics = metrics
    }

    func start() {
        session.becameReady = { [self] in pump() }
        session.start()
    }

    /// Fails what waits. What is in flight may still be committed: nobody hears of it.
    func close() {
        loop.assertCurrent()
        isClosed = true
        session.becameReady = nil
        sweep?.cancel()
        for ticket in pending.keys.sorted() { end(ticket, .failure(.closed)) }
        session.close()
    }

    /// Sends a mutation with what else is waiting. `completion` runs on the loop, exactly once; its success is committed.
    func submit(_ parameters: PostgresParameters, environmentID: UUID, isBulk: Bool, completion: @escaping Completion) {
        loop.assertCurrent()
        guard !isClosed else { return completion(.failure(.closed)) }
        let isFull = pending.count >= configuration.waitingCalls || pendingBytes + parameters.byteCount > configuration.waitingBytes
        guard !isFull || pending.isEmpty else {
            metrics.refused(.full)
            return completion(.failure(.overloaded))
        }
        lastTicket += 1
        let timeout = isBulk ? configuration.bulkTimeout : configuration.requestTimeout
        let deadline = loop.milliseconds + timeout.wholeMilliseconds
        pending[lastTicket] = Pending(parameters: parameters, deadline: deadline, completion: completion)
        pendingBytes += parameters.byteCount
        machine.arrived(
            WriterStateMachine.Member(ticket: lastTicket, environmentID: environmentID, byteCount: parameters.byteCount, isBulk: isBulk)
        )
        pump()
        armSweep()
    }

    private func pump() {
        // Without a connection nothing is handed on: here it can still run out of time unsent.
        guard session.isReady, !isClosed, let batch = machine.nextBatch(isWanted: { pending[$0.ticket] != nil }) else { return }
        let calls = batch.compactMap { member in
            pending[member.ticket].map { waiting in
                var parameters = waiting.parameters
                parameters.add(member.retry)
                return PostgresCall(statement: MutationCall.statement, parameters: parameters)
            }
        }
        let limit = batch.contains(where: \.isBulk) ? configuration.bulkTimeout : nil
        session.submit(calls, timeout: nil, limit: limit, resends: false) { [self] in ended($0) }
    }

    private func ended(_ result: Result<[PostgresResult], PostgresSession.Failure>) {
        switch result {
        case .success(let results):
            for (member, result) in zip(machine.answered(), results) { end(member.ticket, .success(result)) }
        case .failure(.refused(let failure, let call)):
            switch machine.refused(Self.cause(failure)) {
            case .resend: break
            case .fail(let member): end(member.ticket, .failure(.refused(failure, call: call)))
            }
        case .failure(.lost), .failure(.timedOut), .failure(.overloaded), .failure(.closed):
            machine.lost()
        }
        // Later: a connection that fails while it is written to has not said so yet.
        loop.defer { [self] in pump() }
    }

    private static func cause(_ failure: PostgresFailure) -> WriterStateMachine.Cause {
        if failure.isTransient { return .transient }
        if failure.isLockTimeout { return .locked }
        return failure.isUniqueViolation ? .alreadyCommitted : .other
    }

    private func end(_ ticket: Int, _ result: Result<PostgresResult, PostgresSession.Failure>) {
        guard let waiting = pending.removeValue(forKey: ticket) else { return }
        pendingBytes -= waiting.parameters.byteCount
        waiting.completion(result)
    }

    private func armSweep() {
        guard sweep == nil else { return }
        sweep = loop.after(.milliseconds(100)) { [self] in
            sweep = nil
            let now = loop.milliseconds
            for (ticket, waiting) in pending where waiting.deadline <= now {
                if !session.isReady { metrics.refused(.timeout) }
                end(ticket, .failure(.timedOut(sent: session.isReady)))
            }
            if !pending.isEmpty { armSweep() }
        }
    }
}
