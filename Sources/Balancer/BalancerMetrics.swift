// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Metrics
import Reactor
import Wire

/// The balancer's metrics, made once. Counters are shared by the loops and atomic.
struct BalancerMetrics: Sendable {
    static let prefix = "balancer_"

    let requestDuration = Timer(label: prefix + "request_duration_seconds", preferredDisplayUnit: .seconds)
    let retries = Counter(label: prefix + "retries_total")
    /// `balancer_config_reloads_total`.
    let reloads: [ConfigurationReload: Counter]
    /// Wrong passwords at the admin listener, and those that came when no more were taken.
    private let loginsUnknown: Counter
    private let loginsLimited: Counter
    private let rejected: [String: Counter]
    private let stickyRefused: [StickyRefusal: Counter]

    init() {
        reloads = Dictionary(
            uniqueKeysWithValues: ConfigurationReload.allCases.map {
                ($0, Counter(label: Self.prefix + "config_reloads_total", dimensions: [("result", $0.rawValue)]))
            }
        )
        let logins = Self.prefix + "rejected_logins_total"
        loginsUnknown = Counter(label: logins, dimensions: [("reason", "unknown")])
        loginsLimited = Counter(label: logins, dimensions: [("reason", "limited")])
        let reasons = HTTPFault.allCases.map(\.code) + Refusal.allCases.map(\.rawValue) + HTTP2Refusal.allCases.map(\.rawValue)
        rejected = Dictionary(
            uniqueKeysWithValues: Set(reasons + ArrivalFailure.codes).map {
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

    func countRejectedLogin(isLimited: Bool) {
        (isLimited ? loginsLimited : loginsUnknown).increment()
    }

    func countRefusedPin(_ reason: StickyRefusal) {
        stickyRefused[reason]?.increment()
    }

    /// The series of one server.
    struct ServerSeries: Sendable {
        let requests: RequestCounters
        let tunnels: Meter
        let exchanges: Meter
        let up: Meter
        /// 1 while it is on its way out, by an operator's wish or its own.
        let draining: Meter
        /// As it counts right now: 0 for a server that gets no new clients.
        let weight: Meter

        init(pool: String, server: String) {
            requests = RequestCounters(pool: pool, server: server)
            let dimensions = [("pool", pool), ("server", server)]
            tunnels = Meter(label: prefix + "tunnels", dimensions: dimensions)
            exchanges = Meter(label: prefix + "exchanges", dimensions: dimensions)
            up = Meter(label: prefix + "server_up", dimensions: dimensions)
            draining = Meter(label: prefix + "server_draining", dimensions: dimensions)
            weight = Meter(label: prefix + "server_weight", dimensions: dimensions)
        }

        /// A server that is gone must not stay in the scrapes.
        func destroy() {
            for meter in [tunnels, exchanges, up, draining, weight] { meter.destroy() }
            requests.destroy()
        }
    }

    /// The gauges of one pool.
    struct PoolGauges: Sendable {
        let queued: Meter
        /// 1 while every server is down and all are used nevertheless.
        let panic: Meter

        init(pool: String) {
            queued = Meter(label: prefix + "queued", dimensions: [("pool", pool)])
            panic = Meter(label: prefix + "pool_panic", dimensions: [("pool", pool)])
        }

        func destroy() {
            queued.destroy()
            panic.destroy()
        }
    }
}
