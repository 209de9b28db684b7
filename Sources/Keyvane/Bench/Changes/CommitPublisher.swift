// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Notifier
import Store
import Synchronization

/// Real changes, as an API makes them but for HTTP: committed by the store's writers, announced over Redis by one task, taken off the outbox
/// by another. What waits is guarded by its mutex.
final class CommitPublisher: LoadPublisher, Sendable {
    private struct Commit: Sendable {
        let changes: [Change]
        let bounds: Announcement
    }

    private struct State {
        var committed: [Commit] = []
        var announced: [Announcement] = []
    }

    let stamps = PublishStamps()
    private let backends: BenchBackends
    private let bytes: Int
    private let state = Mutex(State())
    /// A channel for each commit to make.
    private let (wishes, wish) = AsyncStream.makeStream(of: Int.self)
    private let (commits, commit) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    private let (removals, remove) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    init(_ backends: BenchBackends, bytes: Int) {
        self.backends = backends
        self.bytes = bytes
    }

    func beginRun(ahead: Int, isTimed: Bool) {
        stamps.reset()
    }

    func publish(channel: Int) {
        wish.yield(channel)
    }

    func finishRun() -> [Int] { [] }

    /// Until the task is cancelled. What waits at the same time is committed together, by the store's writers.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { for await _ in self.commits { await self.announce() } }
            group.addTask { for await _ in self.removals { await self.clearOutbox() } }
            for await channel in wishes { group.addTask { await self.commit(channel) } }
        }
    }

    private func commit(_ channel: Int) async {
        let (number, environment) = (stamps.nextNumber(), backends.environments[channel])
        let value = String(decoding: Marker.value(number, bytes: bytes), as: UTF8.self)
        let change = EntryChange(name: "ENTRY_\(number % 10)", op: .set(value), kind: .variable)
        do {
            let outcome = try await backends.store.mutate(Mutation(environmentID: environment, changes: [change], actor: "root"))
            stamps.note(number, at: BenchClock.microseconds)
            guard let first = outcome.first, let last = outcome.last else { return }
            let bounds = Announcement(environmentID: environment, first: first, last: last)
            state.withLock { $0.committed.append(Commit(changes: outcome.changes, bounds: bounds)) }
            commit.yield()
        } catch {
            BenchExit.fail("a change was not committed: \(error)")
        }
    }

    private func announce() async {
        let items = state.withLock { state in
            defer { state.committed = [] }
            return state.committed
        }
        do {
            try await backends.publisher.publish(items.flatMap { $0.changes.map { ChangeMessage($0) } })
        } catch {
            BenchExit.fail("changes were not announced: \(error)")
        }
        state.withLock { $0.announced += items.map(\.bounds) }
        remove.yield()
    }

    private func clearOutbox() async {
        let rows = state.withLock { state in
            defer { state.announced = [] }
            return state.announced
        }
        do {
            try await backends.store.removeAnnouncements(rows)
        } catch {
            Terminal.note("keyvane: outbox rows stay: \(error)")
        }
    }
}
