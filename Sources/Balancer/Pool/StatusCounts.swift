// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Metrics

/// What one loop counts for one server: `balancer_requests_total`, as handles of the statuses seen so far, and the tally of the status pages.
/// Confined to its loop; the counters behind equal labels are shared.
final class StatusCounts {
    let tally = TrafficTally()
    private let requests: RequestCounters
    private var counters: [(status: Int, counter: Counter)] = []

    init(_ requests: RequestCounters) {
        self.requests = requests
    }

    func count(_ status: Int, cause: TerminationCause) {
        tally.answered(status, cause: cause)
        // A server answers with a handful of statuses, mostly the first.
        if let known = counters.first(where: { $0.status == status }) {
            known.counter.increment()
            return
        }
        let counter = requests.counter(status)
        counters.append((status, counter))
        counter.increment()
    }
}
