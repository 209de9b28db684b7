// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Metrics

/// `balancer_requests_total` of one server, on one loop: the handles of the statuses seen so far. Confined to its loop; the counters
/// behind equal labels are shared.
final class StatusCounts {
    private let pool: String
    private let server: String
    private var counters: [(status: Int, counter: Counter)] = []

    init(pool: String, server: String) {
        self.pool = pool
        self.server = server
    }

    func count(_ status: Int) {
        // A server answers with a handful of statuses, mostly the first.
        if let known = counters.first(where: { $0.status == status }) {
            known.counter.increment()
            return
        }
        let counter = BalancerMetrics.requests(pool: pool, server: server, status: status)
        counters.append((status, counter))
        counter.increment()
    }
}
