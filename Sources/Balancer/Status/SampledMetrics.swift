// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Metrics

/// The series that are cheaper to look at once a second than to keep current: bytes, and connections of clients. Confined to the control loop.
final class SampledMetrics {
    private struct Labels: Hashable {
        let pool: String
        let server: String
    }

    /// The series of one server.
    private struct ServerSeries {
        let bytesIn: Counter
        let bytesOut: Counter
        var totals = TrafficTotals()
        var isAlive = true

        init(_ labels: Labels) {
            let dimensions = [("pool", labels.pool), ("server", labels.server)]
            bytesIn = Counter(label: BalancerMetrics.prefix + "bytes_total", dimensions: dimensions + [("direction", "in")])
            bytesOut = Counter(label: BalancerMetrics.prefix + "bytes_total", dimensions: dimensions + [("direction", "out")])
        }

        func destroy() {
            bytesIn.destroy()
            bytesOut.destroy()
        }
    }

    private var servers: [Labels: ServerSeries] = [:]
    private var clients: [String: Meter] = [:]

    func beginLook() {
        for labels in servers.keys { servers[labels]?.isAlive = false }
    }

    func listener(_ address: String, connections: Int) {
        let meter = clients[address] ?? Meter(label: BalancerMetrics.prefix + "client_connections", dimensions: [("listener", address)])
        clients[address] = meter
        meter.set(connections)
    }

    func server(_ status: ServerStatus, pool: String) {
        let labels = Labels(pool: pool, server: status.name)
        var series = servers[labels] ?? ServerSeries(labels)
        // One that began anew under the same name counts from zero.
        series.bytesIn.increment(by: max(0, status.traffic[.bytesIn] - series.totals[.bytesIn]))
        series.bytesOut.increment(by: max(0, status.traffic[.bytesOut] - series.totals[.bytesOut]))
        series.totals = status.traffic
        series.isAlive = true
        servers[labels] = series
    }

    /// What is gone must not stay in the scrapes.
    func endLook() {
        for (labels, series) in servers where !series.isAlive {
            series.destroy()
            servers[labels] = nil
        }
    }
}
