// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Metrics
import Synchronization

/// Wakes the long polls of an environment when the change channel, or this process, says that something was committed there.
/// It carries no data and may ring for nothing: whoever is woken reads PostgreSQL. Guarded by its mutex.
final class ChangeBell: Sendable {
    private struct State {
        var waiters: [UUID: [UInt64: AsyncStream<Void>.Continuation]] = [:]
        var count = 0
        var nextID: UInt64 = 0
        /// Set by a drain and never taken back.
        var isClosed = false
    }

    /// Long polls that may wait in this process, all environments together.
    private let limit: Int
    private let metrics: APIMetrics
    private let state = Mutex(State())

    /// - Parameter limit: more waiters than that are not taken; they are answered at once.
    init(limit: Int, metrics: APIMetrics) {
        self.limit = limit
        self.metrics = metrics
    }

    /// How many wait now.
    var waiting: Int { state.withLock { $0.count } }

    /// The continuations are called outside of the mutex: what they wake may want it.
    func ring(_ environmentID: UUID) {
        let waiters = state.withLock { $0.waiters[environmentID].map { Array($0.values) } ?? [] }
        for waiter in waiters { waiter.yield() }
    }

    /// After a gap on the channel nobody knows what was missed: everybody looks.
    func ringAll() {
        let waiters = state.withLock { state in state.waiters.values.flatMap { $0.values } }
        for waiter in waiters { waiter.yield() }
    }

    /// Ends all waits, now and from now on.
    func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            return state.waiters.values.flatMap { $0.values }
        }
        for waiter in waiters { waiter.finish() }
    }

    /// Lends the rings of one environment, kept from here on, so that a change committed while the body reads is not slept through.
    /// The rings also come at every `interval`, in case the channel lost one, and end at the deadline. Nil where nobody may wait any more.
    func withRings<Value>(
        of environmentID: UUID,
        every interval: @escaping @Sendable () -> Duration,
        until deadline: ContinuousClock.Instant,
        _ body: (AsyncStream<Void>?) async throws -> Value
    ) async throws -> Value {
        let (rings, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        guard let id = add(continuation, environmentID) else { return try await body(nil) }
        defer { remove(id, environmentID) }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while ContinuousClock.now < deadline {
                    try await Task.sleep(until: min(deadline, .now + interval()), clock: .continuous)
                    continuation.yield()
                }
                continuation.finish()
            }
            defer { group.cancelAll() }
            return try await body(rings)
        }
    }

    private func add(_ waiter: AsyncStream<Void>.Continuation, _ environmentID: UUID) -> UInt64? {
        state.withLock { state in
            if state.isClosed || state.count >= limit { return nil }
            state.nextID += 1
            state.count += 1
            state.waiters[environmentID, default: [:]][state.nextID] = waiter
            metrics.longPolls.set(state.count)
            return state.nextID
        }
    }

    private func remove(_ id: UInt64, _ environmentID: UUID) {
        state.withLock { state in
            state.waiters[environmentID]?[id] = nil
            if state.waiters[environmentID]?.isEmpty == true { state.waiters[environmentID] = nil }
            state.count -= 1
            metrics.longPolls.set(state.count)
        }
    }
}
