// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Metrics
import Synchronization

/// Every metric of the store, created once.
package final class StoreMetrics: Sendable {
    /// Why a call was not even sent to PostgreSQL.
    enum Refusal: String {
        /// Too much waits already.
        case full
        /// No connection came free, or came at all, in the time of the call.
        case timeout
    }

    private let transactions: Counter
    private let outboxLag: Gauge
    private let poolInUse: Gauge
    private let poolWaiting: Gauge
    private let poolWait: Timer
    private let full: Counter
    private let timedOut: Counter
    private let reconnects: Counter
    private let busy = Atomic<Int>(0)
    private let waiting = Atomic<Int>(0)

    package init(factory: any MetricsFactory = MetricsSystem.factory) {
        transactions = Counter(label: "store_transactions_total", factory: factory)
        outboxLag = Gauge(label: "store_outbox_lag_seconds", factory: factory)
        poolInUse = Gauge(label: "store_pool_in_use", factory: factory)
        poolWaiting = Gauge(label: "store_pool_waiting", factory: factory)
        poolWait = Timer(label: "store_pool_wait_seconds", dimensions: [], factory: factory)
        full = Counter(label: "store_pool_refused_total", dimensions: [("reason", Refusal.full.rawValue)], factory: factory)
        timedOut = Counter(label: "store_pool_refused_total", dimensions: [("reason", Refusal.timeout.rawValue)], factory: factory)
        reconnects = Counter(label: "store_reconnects_total", factory: factory)
    }

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

    /// Of calls that wait for a connection.
    func waiting(changedBy difference: Int) {
        guard difference != 0 else { return }
        poolWaiting.record(waiting.wrappingAdd(difference, ordering: .relaxed).newValue)
    }

    /// Before a call was sent.
    func waited(milliseconds: UInt64) {
        poolWait.recordMilliseconds(Int64(clamping: milliseconds))
    }

    func refused(_ why: Refusal) {
        switch why {
        case .full: full.increment()
        case .timeout: timedOut.increment()
        }
    }

    /// A connection was replaced.
    func reconnected() {
        reconnects.increment()
    }
}
