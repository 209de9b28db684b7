// Keyvane
// SPDX-License-Identifier: Apache-2.0

// PostgreSQL over libpq, without blocking.
// Flows through: calls (statement and parameters) in segments, each ended by one Sync and so one transaction; results back, in order.
// Owner: a `PostgresConnection` owns one PGconn and is confined to its loop; a `PostgresSession` replaces connections that went.
// Must hold: a segment ends exactly once, as answered (committed), refused (rolled back) or lost (unknown); nothing here waits.

import CPQ
import Glibc
import Reactor

/// Calls that form one transaction.
struct PostgresSegment {
    enum Outcome {
        /// Committed: one result a call.
        case answered([PostgresResult])
        /// Rolled back, because this call failed.
        case refused(PostgresFailure, call: Int)
        /// The connection went first: committed or not, nobody knows.
        case lost(PostgresFailure)
    }

    let calls: [PostgresCall]
    let ended: (Outcome) -> Void
}

/// Owns one PGconn; confined to its loop.
final class PostgresConnection {
    private enum Phase {
        case connecting((PostgresFailure?) -> Void)
        case idle
        case script([PostgresResult], (Result<[PostgresResult], PostgresFailure>) -> Void)
        case pipeline
        case closed
    }

    private enum Step {
        case prepare(String)
        case execute(call: Int)
    }

    private struct InFlight {
        let segment: PostgresSegment
        let steps: [Step]
        var position = 0
        var results: [PostgresResult] = []
        var failure: (PostgresFailure, call: Int)?
    }

    private let loop: Loop
    private let connection: OpaquePointer
    private var poll: PollHandle?
    private var phase: Phase
    private var inFlight: [InFlight] = []
    /// Statements that were sent to be prepared, and not refused since.
    private var prepared: Set<String> = []
    /// Called once when an open connection goes by itself, after the segments in flight have ended.
    var lost: ((PostgresFailure) -> Void)?

    /// When the server last said something, by the loop's clock.
    private(set) var heardAt: UInt64

    /// Whether one of these parameters is `on`, as the server last reported them (PostgreSQL 14 and newer do so by themselves).
    func reports(anyOf parameters: [String]) -> Bool {
        parameters.contains { PQparameterStatus(connection, $0).map { String(cString: $0) } == "on" }
    }

    /// Takes segments.
    var isOpen: Bool {
        switch phase {
        case .pipeline: true
        case .connecting, .idle, .script, .closed: false
        }
    }

    /// Begins to connect. `done` is called once, later, with nil for success; not after `close()`.
    init(to candidate: PostgresAddress.Candidate, on loop: Loop, done: @escaping (PostgresFailure?) -> Void) throws(PostgresFailure) {
        loop.assertCurrent()
        self.loop = loop
        guard let connection = Self.start(candidate) else { throw .connection("no memory for a connection") }
        self.connection = connection
        heardAt = loop.milliseconds
        phase = .connecting(done)
        // libpq prints what the server remarks to standard error otherwise.
        PQsetNoticeReceiver(connection, { _, _ in }, nil)
        guard PQstatus(connection) != CONNECTION_BAD else {
            let failure = PostgresFailure.connection(Self.message(of: connection))
            phase = .closed
            throw failure
        }
        rewatch(.writable)
    }

    deinit {
        PQfinish(connection)
    }

    private static func start(_ candidate: PostgresAddress.Candidate) -> OpaquePointer? {
        var keywords: [UnsafePointer<CChar>?] = []
        var values: [UnsafePointer<CChar>?] = []
        for (keyword, value) in candidate.keywords {
            keywords.append(UnsafePointer(strdup(keyword)))
            values.append(UnsafePointer(strdup(value)))
        }
        defer { (keywords + values).forEach { free(UnsafeMutablePointer(mutating: $0)) } }
        return PQconnectStartParams(keywords + [nil], values + [nil], 0)
    }

    /// libpq's words about the connection: host, port, user and database, never the password.
    private static func message(of connection: OpaquePointer) -> String {
        let text = PQerrorMessage(connection).map { String(cString: $0) } ?? ""
        return text.split(separator: "\n").joined(separator: " ")
    }

    // MARK: Readiness

    /// A new handle for each wait of the connect phase: libpq may have closed the socket and opened another under the same number.
    private func rewatch(_ events: PollEvents) {
        poll?.close()
        poll = nil
        do throws(ReactorError) {
            let handle = try PollHandle(descriptor: PQsocket(connection), on: loop) { [unowned self] in self.ready($0) }
            handle.watch(events)
            poll = handle
        } catch {
            fail(.connection("watch the socket: \(error.message)"))
        }
    }

    private func ready(_ events: PollEvents) {
        switch phase {
        case .connecting(let done):
            poll?.close()
            poll = nil
            switch PQconnectPoll(connection) {
            case PGRES_POLLING_READING: rewatch(.readable)
            case PGRES_POLLING_WRITING: rewatch(.writable)
            case PGRES_POLLING_OK:
                PQsetnonblocking(connection, 1)
                phase = .idle
                rewatch(.readable)
                done(nil)
            default:
                phase = .closed
                done(.connection(Self.message(of: connection)))
            }
        case .idle, .script, .pipeline:
            if events.contains(.readable) {
                heardAt = loop.milliseconds
                guard PQconsumeInput(connection) == 1 else {
                    readResults()
                    fail(.connection(Self.message(of: connection)))
                    return
                }
            }
            readResults()
            flush()
        case .closed:
            break
        }
    }

    private func flush() {
        guard let poll else { return }
        switch PQflush(connection) {
        case 0: poll.watch(.readable)
        case 1: poll.watch([.readable, .writable])
        default: fail(.connection(Self.message(of: connection)))
        }
    }

    private func readResults() {
        switch phase {
        case .script: readScript()
        case .pipeline: readPipeline()
        case .connecting, .idle, .closed: break
        }
    }

    // MARK: Scripts: several statements in the simple protocol, for set-up and migrations

    /// Runs a script; `done` is called once, later, unless the connection is closed before.
    func run(script: String, _ done: @escaping (Result<[PostgresResult], PostgresFailure>) -> Void) {
        switch phase {
        case .idle: phase = .script([], done)
        case .closed:
            loop.defer { done(.failure(.connection("the connection was lost"))) }
            return
        case .connecting, .script, .pipeline: preconditionFailure("a script runs on an idle connection")
        }
        guard PQsendQuery(connection, script) == 1 else {
            fail(.connection(Self.message(of: connection)))
            return
        }
        flush()
    }

    private func readScript() {
        while case .script(var results, let done) = phase, PQisBusy(connection) == 0 {
            if let raw = PQgetResult(connection) {
                results.append(PostgresResult(owning: raw))
                phase = .script(results, done)
                continue
            }
            phase = .idle
            if case .failed(let sqlState) = results.last?.status {
                done(.failure(.statement("script", sqlState: sqlState)))
            } else {
                done(.success(results))
            }
        }
    }

    // MARK: Pipeline

    /// From now on the connection takes segments.
    func enterPipeline() {
        guard case .idle = phase else { preconditionFailure("a pipeline begins on an idle connection") }
        phase = .pipeline
        if PQenterPipelineMode(connection) != 1 { fail(.connection(Self.message(of: connection))) }
    }

    /// Sends a segment behind those in flight. Its end is told later; when the connection is found broken, at once.
    func send(_ segment: PostgresSegment) {
        guard case .pipeline = phase else {
            segment.ended(.lost(.connection("the connection is closed")))
            return
        }
        var steps: [Step] = []
        var sent = true
        for (index, call) in segment.calls.enumerated() {
            if prepared.insert(call.statement.name).inserted {
                steps.append(.prepare(call.statement.name))
                sent = sent && PQsendPrepare(connection, call.statement.name, call.statement.sql, 0, nil) == 1
            }
            steps.append(.execute(call: index))
            let count = Int32(call.parameters.count)
            sent =
                sent
                && call.parameters.withPointers {
                    PQsendQueryPrepared(connection, call.statement.name, count, $0, nil, nil, 0) == 1
                }
        }
        inFlight.append(InFlight(segment: segment, steps: steps))
        guard sent, PQpipelineSync(connection) == 1 else {
            fail(.connection(Self.message(of: connection)))
            return
        }
        flush()
    }

    private func readPipeline() {
        // Every statement's result is followed by one nil; two in a row mean that there is nothing to read yet.
        var nils = 0
        while case .pipeline = phase, !inFlight.isEmpty, nils < 2, PQisBusy(connection) == 0 {
            guard let raw = PQgetResult(connection) else {
                nils += 1
                continue
            }
            nils = 0
            take(PostgresResult(owning: raw))
        }
    }

    private func take(_ result: PostgresResult) {
        let status = result.status
        if case .synced = status {
            let ended = inFlight.removeFirst()
            if let failure = ended.failure {
                ended.segment.ended(.refused(failure.0, call: failure.call))
            } else {
                ended.segment.ended(.answered(ended.results))
            }
            return
        }
        let step = inFlight[0].position < inFlight[0].steps.count ? inFlight[0].steps[inFlight[0].position] : nil
        inFlight[0].position += 1
        switch (status, step) {
        case (.done, .execute):
            inFlight[0].results.append(result)
        case (.done, .prepare), (.done, nil), (.synced, _), (.skipped, .execute), (.skipped, nil):
            break
        case (.skipped, .prepare(let name)):
            prepared.remove(name)
        case (.failed(let sqlState), _):
            refused(sqlState: sqlState, at: step)
        }
    }

    private func refused(sqlState: String, at step: Step?) {
        let calls = inFlight[0].segment.calls
        let call: Int
        let name: String
        switch step {
        case .prepare(let statement):
            prepared.remove(statement)
            call = calls.firstIndex { $0.statement.name == statement } ?? 0
            name = "prepare \(statement)"
        case .execute(let index):
            call = index
            name = calls[index].statement.name
        case nil:
            // The commit itself, or the end of the connection between two statements.
            call = calls.count - 1
            name = "commit"
        }
        let failure = PostgresFailure.statement(name, sqlState: sqlState)
        if failure.endsConnection {
            fail(.connection("the server ended the connection: \(failure.message)"))
        } else {
            inFlight[0].failure = (failure, call)
        }
    }

    // MARK: End

    /// Closes it: segments in flight end as lost; nobody else is told.
    func close() {
        lost = nil
        switch phase {
        case .connecting, .script: phase = .idle
        case .idle, .pipeline, .closed: break
        }
        fail(.connection("the connection was closed"))
    }

    /// Gives an open connection up as if the network had: segments in flight end as lost, and `lost` is called.
    func abandon(_ failure: PostgresFailure) {
        fail(failure)
    }

    private func fail(_ failure: PostgresFailure) {
        let before = phase
        phase = .closed
        poll?.close()
        poll = nil
        let lost = lost
        self.lost = nil
        let segments = inFlight
        inFlight = []
        switch before {
        case .closed: return
        // Told later: both may be failing inside the call that began them.
        case .connecting(let done): loop.defer { done(failure) }
        case .script(_, let done): loop.defer { done(.failure(failure)) }
        case .idle, .pipeline: break
        }
        for ended in segments { ended.segment.ended(.lost(failure)) }
        lost?(failure)
    }
}
