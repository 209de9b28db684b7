// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Exponential backoff with full jitter: after a gateway's death its clients come back spread over the whole delay.
package struct Backoff: Sendable {
    private let initial: Duration
    private let maximum: Duration
    private var ceiling: Duration

    package init(initial: Duration, maximum: Duration) {
        self.initial = initial
        self.maximum = maximum
        ceiling = min(initial, maximum)
    }

    /// The next delay: `jitter`, from 0 up to 1, times a bound that doubles with each call.
    package mutating func next(jitter: Double) -> Duration {
        defer { ceiling = min(ceiling * 2, maximum) }
        return ceiling * jitter
    }

    package mutating func reset() {
        ceiling = min(initial, maximum)
    }
}
