// Keyvane
// SPDX-License-Identifier: Apache-2.0

// PostgreSQL as the rest of the product sees it: the truth, its history, and who may touch it.
// Flows through: checked values in, one function call each to PostgreSQL, records out. Folders are the steps.
// Owner: the composition root makes one store and runs `run()`; sessions and writers are confined to their loops.
// Must hold: a mutation that was answered is committed, one that was not is looked up before it is ever sent again; a wait is bounded;
// secrets cross this target's edge only as plaintext in an `EntryChange`, and leave it sealed.

import Foundation
package import Logging
package import Reactor
import Synchronization

package final class ConfigurationStore: Sendable {
    let configuration: StoreConfiguration
    let keyRing: KeyRing
    let connectKeys: ConnectTokenKeys
    let logger: Logger
    let metrics: StoreMetrics
    /// Unwrapped data keys by environment. They never change: rotation only wraps them anew.
    let keys = Mutex<[UUID: ProjectKey]>([:])
    /// Up to where this process has swept each environment's log.
    let swept = Mutex<[UUID: Int64]>([:])
    private let address: PostgresAddress
    private let startLoop: Loop
    private let readers: [PostgresSession]
    /// For what must be durable but is rare: hierarchy, tokens, the outbox.
    private let control: PostgresSession
    /// For what may take long, and must not hold up what waits on `control`: retention, deletion of places.
    private let maintenance: PostgresSession
    private let writers: [MutationWriter]
    private let turn = Atomic<Int>(0)

    /// Connects nothing yet: calls wait until `run()` has, within their limit.
    /// - Throws: `configuration_invalid` for a URL that can't be read.
    package init(
        configuration: StoreConfiguration,
        keyRing: KeyRing,
        loops: LoopGroup,
        metrics: StoreMetrics = StoreMetrics(),
        logger: Logger
    ) throws(StoreError) {
        let address = try PostgresAddress(parsing: configuration.url)
        func session() -> PostgresSession {
            PostgresSession(address: address, configuration: configuration, loop: loops.next(), metrics: metrics, logger: logger)
        }
        self.configuration = configuration
        self.keyRing = keyRing
        connectKeys = ConnectTokenKeys(keyRing)
        self.logger = logger
        self.metrics = metrics
        self.address = address
        startLoop = loops.next()
        readers = (0..<max(1, configuration.readers)).map { _ in session() }
        control = session()
        maintenance = session()
        writers = (0..<max(1, configuration.writers)).map { _ in
            MutationWriter(session: session(), configuration: configuration, metrics: metrics)
        }
    }

    // MARK: Life

    /// Checks schema and master keys, connects, and stays connected until the task is cancelled.
    /// - Throws: what makes a start senseless: `schema_too_new`, `schema_missing`, `master_key_missing`, `master_key_wrong`, or `unavailable`
    ///   where PostgreSQL didn't answer within `startTimeout`.
    package func run() async throws(StoreError) {
        try await withDirectConnection { connection throws(StoreError) in try await self.checkStart(connection) }
        let sessions = readers + [control, maintenance]
        for session in sessions { session.loop.post { session.start() } }
        for writer in writers { writer.loop.post { writer.start() } }
        let (cancelled, cancellation) = AsyncStream<Never>.makeStream()
        await withTaskCancellationHandler {
            for await _ in cancelled {}
        } onCancel: {
            cancellation.finish()
        }
        for session in sessions { await Self.wait(on: session.loop) { session.close() } }
        for writer in writers { await Self.wait(on: writer.loop) { writer.close() } }
    }

    private static func wait(on loop: Loop, _ body: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { continuation in
            loop.post {
                body()
                continuation.resume()
            }
        }
    }

    func withDirectConnection<Value>(
        _ body: (DirectConnection) async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        try await DirectConnection.withConnection(to: address, configuration: configuration, on: startLoop, logger: logger, body)
    }

    /// Reads and mutations would be served at once.
    package var isAvailable: Bool {
        readers.contains(where: \.isReady) && writers.allSatisfy(\.isReady)
    }

    private static let one = PostgresStatement("ping", "SELECT 1")

    /// A real round trip, with a limit that suits a health check.
    package func ping() async throws(StoreError) {
        _ = try await reader.perform([Self.one.call()], timeout: .seconds(1))
    }

    // MARK: For the steps

    /// One after the other, but past those without a connection.
    private var reader: PostgresSession {
        let start = Int(UInt(bitPattern: turn.wrappingAdd(1, ordering: .relaxed).oldValue) % UInt(readers.count))
        let order = (0..<readers.count).lazy.map { self.readers[(start + $0) % self.readers.count] }
        return order.first(where: \.isReady) ?? readers[start]
    }

    /// Runs one statement that changes nothing.
    func read(_ call: PostgresCall) async throws(StoreError) -> PostgresResult {
        try await Self.last(reader.perform([call], timeout: configuration.requestTimeout))
    }

    /// Runs a few that change nothing, one after the other, in one round trip; each sees what was committed before it.
    func read(_ calls: [PostgresCall]) async throws(StoreError) -> [PostgresResult] {
        try await reader.perform(calls, timeout: configuration.requestTimeout)
    }

    /// Runs one statement that may be run twice with the same effect as once.
    func write(_ call: PostgresCall) async throws(StoreError) -> PostgresResult {
        try await Self.last(control.perform([call], timeout: configuration.requestTimeout))
    }

    /// Like `write`, apart from everything that somebody waits for.
    func maintain(_ call: PostgresCall) async throws(StoreError) -> PostgresResult {
        try await Self.last(maintenance.perform([call], timeout: configuration.requestTimeout))
    }

    /// Like `write`, for a caller who tells one refusal of PostgreSQL from another.
    /// - Parameter isSlow: it may take up to the limit of bulk work, and goes past what is quick.
    func attempt(_ call: PostgresCall, isSlow: Bool) async -> Result<PostgresResult, PostgresSession.Failure> {
        let (session, timeout) = isSlow ? (maintenance, configuration.bulkTimeout) : (control, configuration.requestTimeout)
        return await session.outcome([call], timeout: timeout).map { $0[$0.count - 1] }
    }

    private static let relaxed = PostgresStatement("relaxed_commit", "SELECT set_config('synchronous_commit', 'off', true)")

    /// Like `write`, but a crash of PostgreSQL may undo it: for what would then only be done again. It waits for no disk.
    func writeRelaxed(_ call: PostgresCall) async throws(StoreError) -> PostgresResult {
        try await Self.last(control.perform([Self.relaxed.call(), call], timeout: configuration.requestTimeout))
    }

    /// The same without waiting for it to happen, for what may as well not happen.
    func writeSomeTime(_ call: PostgresCall) {
        let (control, timeout) = (control, configuration.requestTimeout)
        control.loop.post { control.submit([Self.relaxed.call(), call], timeout: timeout, resends: false) { _ in } }
    }

    /// All mutations of an environment go through the same writer, so they meet in its batches instead of in PostgreSQL's lock queue.
    func writer(for environmentID: UUID) -> MutationWriter {
        let sum = withUnsafeBytes(of: environmentID.uuid) { $0.reduce(0) { $0 &* 31 &+ Int($1) } }
        return writers[Int(UInt(bitPattern: sum) % UInt(writers.count))]
    }

    private static func last(_ results: [PostgresResult]) throws(StoreError) -> PostgresResult {
        guard let result = results.last else { throw StoreError(.internalError, "the database gave no answer to a statement") }
        return result
    }
}
