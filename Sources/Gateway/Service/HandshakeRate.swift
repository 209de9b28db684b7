// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Lets so many in a second, evenly (a token bucket). What clients bring beyond is for them to bring again: they wait with a jitter of their
/// own, so that a storm becomes a queue. A value; times are milliseconds of any steady clock.
package struct HandshakeRate {
    private let perSecond: Int
    /// Thousandths of a handshake; starts with a tenth of a second's share, which is as many as ever come at once.
    private var credit: Int
    private var filledAt: UInt64?

    package init(perSecond: Int) {
        self.perSecond = perSecond
        credit = Self.limit(perSecond)
    }

    private static func limit(_ perSecond: Int) -> Int { max(1000, perSecond * 100) }

    package mutating func admit(at now: UInt64) -> Bool {
        if let filledAt, now > filledAt {
            credit = min(Self.limit(perSecond), credit + Int(min(now - filledAt, 1000)) * perSecond)
        }
        filledAt = now
        guard credit >= 1000 else { return false }
        credit -= 1000
        return true
    }
}
