// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// How long to wait before the next attempt: 50 ms at first, never over 1 s, spread so that a cluster doesn't come back all at once. A value.
package struct ReconnectBackoff {
    private static let first = 100.0
    private static let last = 1_000.0

    private var bound = Self.first

    package init() {}

    /// An attempt failed or a connection was lost; `random` is in 0..<1. The delay lies in the upper half of a bound that doubles.
    package mutating func failed(random: Double) -> Duration {
        defer { bound = min(bound * 2, Self.last) }
        return .milliseconds(Int64(bound / 2 + bound / 2 * random))
    }

    package mutating func connected() {
        bound = Self.first
    }
}
