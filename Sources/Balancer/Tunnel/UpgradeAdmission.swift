// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// How many upgrades a second pass, over all loops: a storm of reconnects is spread instead of carried on to the servers.
/// Guarded by its mutex; taken once an upgrade, never by a plain request.
package final class UpgradeAdmission: Sendable {
    private let bucket: Mutex<TokenBucket>

    package init(perSecond: Int) {
        bucket = Mutex(TokenBucket(perSecond: perSecond))
    }

    /// Another rate; what is saved up stays, as far as the new rate allows.
    package func become(perSecond: Int) {
        bucket.withLock { $0.become(perSecond: perSecond) }
    }

    package func admit(at now: UInt64) -> Bool {
        bucket.withLock { $0.take(at: now) }
    }
}

/// One second's worth at most is saved up.
package struct TokenBucket: Sendable {
    private var perSecond: Double
    private var tokens: Double
    private var refilled: UInt64 = 0

    package init(perSecond: Int) {
        self.perSecond = Double(perSecond)
        tokens = Double(perSecond)
    }

    package mutating func become(perSecond: Int) {
        self.perSecond = Double(perSecond)
        tokens = min(tokens, self.perSecond)
    }

    /// Milliseconds; loops' clocks may differ by a turn, so time that seems to run back adds nothing.
    package mutating func take(at now: UInt64) -> Bool {
        if now > refilled {
            tokens = min(perSecond, tokens + Double(now - refilled) / 1000 * perSecond)
            refilled = now
        }
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
