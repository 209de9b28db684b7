// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Metrics
import Synchronization

/// `balancer_requests_total` of one server by status. Guarded by its mutex, which a loop takes once for each status; then it has the handle.
final class RequestCounters: Sendable {
    /// There before the first of them: a rate needs a value to rise from, and alerts are about these.
    private static let expected = [101, 200, 500, 502, 503, 504]

    private let pool: String
    private let server: String
    private let counters: Mutex<[Int: Counter]>

    /// `server` is `none` where the balancer answered for the pool itself.
    init(pool: String, server: String) {
        self.pool = pool
        self.server = server
        counters = Mutex(Dictionary(uniqueKeysWithValues: Self.expected.map { ($0, Self.counter(pool, server, $0)) }))
    }

    func counter(_ status: Int) -> Counter {
        counters.withLock { counters in
            if let known = counters[status] { return known }
            let counter = Self.counter(pool, server, status)
            counters[status] = counter
            return counter
        }
    }

    /// Instances come under ever new names: those that are gone must not stay in the scrapes.
    func destroy() {
        for counter in counters.withLock({ Array($0.values) }) { counter.destroy() }
    }

    private static func counter(_ pool: String, _ server: String, _ status: Int) -> Counter {
        Counter(
            label: BalancerMetrics.prefix + "requests_total",
            dimensions: [("pool", pool), ("server", server), ("status", String(status))]
        )
    }
}
