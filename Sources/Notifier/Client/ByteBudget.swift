// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The bytes that may wait for Redis, over all callers of a client; lock-free. A caller takes its bytes before it queues anything.
final class ByteBudget: Sendable {
    private let limit: Int
    private let used = Atomic<Int>(0)

    init(limit: Int) {
        self.limit = limit
    }

    func take(_ count: Int) throws(NotifierError) {
        let total = used.wrappingAdd(count, ordering: .relaxed).newValue
        guard total <= limit else {
            used.wrappingSubtract(count, ordering: .relaxed)
            throw NotifierError(.queueFull, "over \(limit) bytes already wait for Redis: is it overloaded?")
        }
    }

    func giveBack(_ count: Int) {
        used.wrappingSubtract(count, ordering: .relaxed)
    }
}
