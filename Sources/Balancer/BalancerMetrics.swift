// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Metrics
import Wire

/// The balancer's metrics, made once. Counters are shared by the loops and atomic.
struct BalancerMetrics: Sendable {
    private static let prefix = "balancer_"

    let requestDuration = Timer(label: prefix + "request_duration_seconds", preferredDisplayUnit: .seconds)
    let retries = Counter(label: prefix + "retries_total")
    private let rejected: [String: Counter]
    private let stickyRefused: [StickyRefusal: Counter]

    init() {
        let reasons = HTTPFault.allCases.map(\.code) + Refusal.allCases.map(\.rawValue)
        rejected = Dictionary(
            uniqueKeysWithValues: Set(reasons).map {
                ($0, Counter(label: Self.prefix + "rejected_total", dimensions: [("reason", $0)]))
            }
        )
        stickyRefused = Dictionary(
            uniqueKeysWithValues: StickyRefusal.allCases.map {
                ($0, Counter(label: Self.prefix + "sticky_refused_total", dimensions: [("reason", $0.rawValue)]))
            }
        )
    }

    func countRejected(_ reason: String) {
        rejected[reason]?.increment()
    }

    func countRefusedPin(_ reason: StickyRefusal) {
        stickyRefused[reason]?.increment()
    }

    /// `server` is `none` where the balancer answered for the pool itself.
    static func requests(pool: String, server: String, status: Int) -> Counter {
        Counter(label: prefix + "requests_total", dimensions: [("pool", pool), ("server", server), ("status", String(status))])
    }

    /// The two gauges of one server.
    struct ServerGauges: Sendable {
        let tunnels: Meter
        let up: Meter

        init(pool: String, server: String) {
            let dimensions = [("pool", pool), ("server", server)]
            tunnels = Meter(label: prefix + "tunnels", dimensions: dimensions)
            up = Meter(label: prefix + "server_up", dimensions: dimensions)
        }

        /// A server that is gone must not stay in the scrapes.
        func destroy() {
            tunnels.destroy()
            up.destroy()
        }
    }
}
