// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Metrics
import Synchronization

/// Every metric of the store, created once.
final class StoreMetrics: Sendable {
    private let transactions = Counter(label: "store_transactions_total")
    private let outboxLag = Gauge(label: "store_outbox_lag_seconds")
    private let poolInUse = Gauge(label: "store_pool_in_use")
    private let busy = Atomic<Int>(0)

    /// Mutations that were committed with at least one change.
    func committed(_ count: Int) {
        transactions.increment(by: count)
    }

    /// The age of the oldest transaction that nobody has announced yet.
    func outboxLag(milliseconds: Int64) {
        outboxLag.record(Double(milliseconds) / 1000)
    }

    func connectionBecameBusy() {
        poolInUse.record(busy.wrappingAdd(1, ordering: .relaxed).newValue)
    }

    func connectionBecameIdle() {
        poolInUse.record(busy.wrappingSubtract(1, ordering: .relaxed).newValue)
    }
}
