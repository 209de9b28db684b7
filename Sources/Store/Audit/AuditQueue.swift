// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Logging
import Synchronization

/// Notes of what was read, on their way to the audit: taken at once, written a moment later, many in one statement.
///
/// Bounded in bytes. The verdict on a full queue is the caller's, who must not let anything be read that nobody will know of. What is written
/// leaves the queue only then, so PostgreSQL may be away for as long as the queue lasts. Guarded by its mutex.
package final class AuditQueue: Sendable {
    package typealias Write = @Sendable ([AuditNote]) async throws(StoreError) -> Void

    private struct State {
        var notes: [AuditNote] = []
        var bytes = 0
        /// The last attempt to write was refused; only its beginning and its end are logged.
        var isFailing = false
    }

    private static let batch = 500
    /// A crowd comes within moments: what it leaves goes out in few statements.
    private static let gathering = Duration.milliseconds(100)
    private static let pause = Duration.milliseconds(250)
    /// For which the end waits for a PostgreSQL that is away.
    private static let patience = Duration.seconds(3)

    private let limit: Int
    private let logger: Logger
    private let write: Write
    private let measured: @Sendable (Int) -> Void
    private let state = Mutex(State())
    private let wakeUps: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    /// - Parameter measured: told the bytes that wait, whenever they change.
    package init(
        limit: Int,
        measured: @escaping @Sendable (Int) -> Void = { _ in },
        logger: Logger,
        write: @escaping Write
    ) {
        self.limit = limit
        self.logger = logger
        self.measured = measured
        self.write = write
        (wakeUps, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Something would still be taken.
    package var hasRoom: Bool { state.withLock { $0.bytes < limit } }

    /// - Parameter isPromised: taken in any case, of a caller who saw room before he let it happen.
    /// - Returns: false when the queue is full; nothing was taken then.
    package func append(_ note: AuditNote, isPromised: Bool = false) -> Bool {
        let bytes: Int? = state.withLock { state in
            if state.bytes >= limit, !isPromised { return nil }
            state.notes.append(note)
            state.bytes += note.byteCount
            return state.bytes
        }
        guard let bytes else { return false }
        measured(bytes)
        wake.yield()
        return true
    }

    /// Writes until the task is cancelled, and then what is left, as far as PostgreSQL lets it within a few seconds; the log says what is lost.
    /// One caller only.
    package func run() async {
        for await _ in wakeUps {
            try? await Task.sleep(for: Self.gathering)
            while await !writeAll(), !Task.isCancelled { try? await Task.sleep(for: Self.pause) }
        }
        // Its own task, waited for right here: in a cancelled one there are no pauses.
        await Task { await writeRest() }.value
    }

    private func writeRest() async {
        let end = ContinuousClock.now + Self.patience
        while await !writeAll(), ContinuousClock.now < end { try? await Task.sleep(for: Self.pause) }
        let rest = state.withLock { $0.notes.count }
        if rest > 0 { logger.error("audit rows lost", metadata: ["rows": .stringConvertible(rest)]) }
    }

    /// False where PostgreSQL didn't take it.
    private func writeAll() async -> Bool {
        while case let notes = state.withLock({ Array($0.notes.prefix(Self.batch)) }), !notes.isEmpty {
            do throws(StoreError) {
                try await write(notes)
            } catch {
                let isFirst = state.withLock { state in
                    defer { state.isFailing = true }
                    return !state.isFailing
                }
                if isFirst { logger.warning("audit rows not written", metadata: ["error": .string("\(error)")]) }
                return false
            }
            let (bytes, isOver) = state.withLock { state in
                defer { state.isFailing = false }
                state.notes.removeFirst(notes.count)
                state.bytes -= notes.reduce(0) { $0 + $1.byteCount }
                return (state.bytes, state.isFailing)
            }
            if isOver { logger.notice("audit rows are written again") }
            measured(bytes)
        }
        return true
    }
}
