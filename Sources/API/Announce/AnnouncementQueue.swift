// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A queue between the requests that commit and the one task that tells others. It refuses what would take it over its bytes: the
/// outbox row stays, and the relay does what is not done here. Guarded by its mutex.
final class AnnouncementQueue<Item: Sendable>: Sendable {
    private struct State {
        var items: [Item] = []
        var bytes = 0
    }

    private let limit: Int
    private let state = Mutex(State())
    private let wakeUps: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    init(limit: Int) {
        self.limit = limit
        // One wake-up waiting is enough: whoever takes, takes all.
        (wakeUps, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    var bytes: Int { state.withLock { $0.bytes } }

    /// - Returns: false when the queue is full.
    func append(_ item: Item, bytes: Int) -> Bool {
        let isTaken = state.withLock { state in
            if state.bytes + bytes > limit { return false }
            state.items.append(item)
            state.bytes += bytes
            return true
        }
        if isTaken { wake.yield() }
        return isTaken
    }

    /// Hands over everything that waits, again and again, until the task is cancelled. One caller only.
    func drain(_ body: ([Item]) async -> Void) async {
        for await _ in wakeUps {
            let items = state.withLock { state in
                defer { state = State() }
                return state.items
            }
            if !items.isEmpty { await body(items) }
        }
    }
}
