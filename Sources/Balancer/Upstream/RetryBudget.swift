// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Retries may add a fifth to a pool's load, so that they can't finish off servers that are failing already. Owned by a loop's view of
/// the pool. A few a second are free, or a quiet pool could never retry.
package struct RetryBudget: Sendable {
    /// A request earns one unit, a retry costs five.
    private static let cost = 5
    private static let freePerSecond = 10 * cost
    private static let cap = 100 * cost

    private var units = RetryBudget.freePerSecond
    private var refilled: UInt64

    package init(at now: UInt64) {
        refilled = now
    }

    package mutating func requestStarted() {
        if units < Self.cap { units += 1 }
    }

    /// True takes one retry out. `now` is the loop's clock in milliseconds.
    package mutating func takeRetry(at now: UInt64) -> Bool {
        if units < Self.freePerSecond {
            let earned = Int(min(now - refilled, 1000)) * Self.freePerSecond / 1000
            if earned > 0 {
                units = min(Self.freePerSecond, units + earned)
                refilled = now
            }
        } else {
            refilled = now
        }
        guard units >= Self.cost else { return false }
        units -= Self.cost
        return true
    }
}
