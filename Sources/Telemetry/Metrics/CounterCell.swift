// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Synchronization

/// A counter. Whole amounts take one atomic addition; only fractions pay for a compare-and-swap loop. Lock-free, shared by all threads.
final class CounterCell: MetricCell, CounterHandler, FloatingPointCounterHandler {
    let identity: MetricIdentity
    private let whole = Atomic<Int64>(0)
    private let fraction = AtomicDouble()

    init(identity: MetricIdentity) {
        self.identity = identity
    }

    // A counter never falls: a negative amount is a caller's mistake and would look like a restart to Prometheus.
    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        whole.wrappingAdd(amount, ordering: .relaxed)
    }

    func increment(by amount: Double) {
        guard amount > 0, amount.isFinite else { return }
        fraction.add(amount)
    }

    func reset() {
        whole.store(0, ordering: .relaxed)
        fraction.set(0)
    }

    func render(into text: inout Exposition) {
        let fraction = fraction.value
        let whole = whole.load(ordering: .relaxed)
        if fraction == 0 {
            text.sample(identity.name, labels: identity.labels, value: whole)
        } else {
            text.sample(identity.name, labels: identity.labels, value: Double(whole) + fraction)
        }
    }
}
