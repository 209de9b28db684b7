// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Questions from the loops to PostgreSQL: bounded, drained by `run`, each answered by posting to the loop that asked.
///
/// Guarded by its mutex.
final class SourceQueue: Sendable {
    typealias Job = @Sendable () async -> Void

    private let jobs: AsyncStream<Job>
    private let input: AsyncStream<Job>.Continuation
    /// Waiting and running jobs; the stream itself only counts those that wait.
    private let pending = Mutex(0)
    private let limit: Int

    init(limit: Int) {
        self.limit = limit
        (jobs, input) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    }

    /// False when too much is under way already: the caller answers `unavailable`.
    func submit(_ job: @escaping Job) -> Bool {
        let isTaken = pending.withLock { pending in
            guard pending < limit else { return false }
            pending += 1
            return true
        }
        guard isTaken else { return false }
        if case .terminated = input.yield(job) { return false }
        return true
    }

    /// Until cancelled. Jobs end by themselves: each is a call of the store, which has time limits.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await job in jobs {
                group.addTask { [self] in
                    await job()
                    pending.withLock { $0 -= 1 }
                }
            }
            group.cancelAll()
        }
    }
}
