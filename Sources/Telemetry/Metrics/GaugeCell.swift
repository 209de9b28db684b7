// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics

/// A gauge (swift-metrics' Gauge and Meter). Lock-free, shared by all threads.
final class GaugeCell: MetricCell, MeterHandler, RecorderHandler {
    let identity: MetricIdentity
    private let current = AtomicDouble()

    init(identity: MetricIdentity) {
        self.identity = identity
    }

    func set(_ value: Int64) { current.set(Double(value)) }
    func set(_ value: Double) { current.set(value) }
    func record(_ value: Int64) { current.set(Double(value)) }
    func record(_ value: Double) { current.set(value) }
    func increment(by amount: Double) { current.add(amount) }
    func decrement(by amount: Double) { current.add(-amount) }

    func render(into text: inout Exposition) {
        text.sample(identity.name, labels: identity.labels, value: current.value)
    }
}
