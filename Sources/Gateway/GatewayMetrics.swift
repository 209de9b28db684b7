// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Metrics

/// Everything the gateway counts; one for the process, made after the metrics system is bootstrapped.
package struct GatewayMetrics: Sendable {
    /// Watching connections that are open.
    private let openConnections: Gauge
    /// As many as it may have.
    private let connectionsLimit: Gauge
    /// Subscriptions of those connections.
    private let openWatchers: Gauge
    /// Audit rows that wait for PostgreSQL.
    private let auditBytes: Gauge
    /// Changes handed to sockets.
    private let deliveries: Counter
    /// Holes that were read back from PostgreSQL.
    private let gaps: Counter
    /// Sockets that were more than the limit behind, so that their place in the log was given up.
    private let fallenBehind: Counter
    /// Sockets that got the newest state in place of every change.
    private let conflations: Counter
    /// Commit to socket: one observation a group and slice of a sweep.
    private let deliveryTime: Timer
    private let closes: [UInt16: Counter]
    private let otherCloses: Counter
    /// Tokens that were refused, and those of clients that had shown too many already.
    private let loginsUnknown: Counter
    private let loginsLimited: Counter

    package init(factory: any MetricsFactory = MetricsSystem.factory) {
        openConnections = Gauge(label: "gateway_connections", factory: factory)
        connectionsLimit = Gauge(label: "gateway_connections_limit", factory: factory)
        openWatchers = Gauge(label: "gateway_watchers", factory: factory)
        auditBytes = Gauge(label: "gateway_audit_queue_bytes", factory: factory)
        deliveries = Counter(label: "gateway_deliveries_total", factory: factory)
        gaps = Counter(label: "gateway_gaps_total", factory: factory)
        fallenBehind = Counter(label: "gateway_behind_total", factory: factory)
        conflations = Counter(label: "gateway_conflated_total", factory: factory)
        deliveryTime = Timer(label: "gateway_delivery_seconds", dimensions: [], factory: factory)
        // A closed set: a client may send any code, and each label would live for ever.
        let codes: [UInt16] = [1000, 1001, 1002, 1003, 1006, 1007, 1009, 1011, 1012, 1013, 4400, 4401, 4403, 4404, 4408, 4429]
        func counter(_ code: String) -> Counter {
            Counter(label: "gateway_closes_total", dimensions: [("code", code)], factory: factory)
        }
        closes = Dictionary(uniqueKeysWithValues: codes.map { ($0, counter("\($0)")) })
        otherCloses = counter("other")
        let rejected = "gateway_rejected_logins_total"
        loginsUnknown = Counter(label: rejected, dimensions: [("reason", "unknown")], factory: factory)
        loginsLimited = Counter(label: rejected, dimensions: [("reason", "limited")], factory: factory)
    }

    func connections(_ count: Int) { openConnections.record(count) }
    func connectionsLimit(_ limit: Int) { connectionsLimit.record(limit) }
    func watchers(_ count: Int) { openWatchers.record(count) }
    func auditQueue(_ bytes: Int) { auditBytes.record(bytes) }
    func delivered(_ changes: Int) { deliveries.increment(by: changes) }
    func gapsRead(_ count: Int) { gaps.increment(by: count) }
    func fellBehind() { fallenBehind.increment() }
    func conflated() { conflations.increment() }
    func loginRejected(isLimited: Bool) { (isLimited ? loginsLimited : loginsUnknown).increment() }

    func closed(_ code: UInt16) {
        (closes[code] ?? otherCloses).increment()
    }

    func delivery(milliseconds: Int64) {
        // Clocks of two machines may differ by more than the way took.
        deliveryTime.recordMilliseconds(max(0, milliseconds))
    }
}
