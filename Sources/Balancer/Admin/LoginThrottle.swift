// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Slows the guessing of passwords: an address, or whoever uses a name, may be wrong a few times at once, and then once in a while. A value of
/// the gate's; times are milliseconds of any clock that doesn't go back.
package struct LoginThrottle: Sendable {
    package static let attempts = 10
    /// Of one name, from anywhere. A single address never uses them up: it earns no more attempts than the name does.
    package static let attemptsOfName = 50
    /// One more attempt each time this has passed.
    package static let refill: UInt64 = 6_000
    /// Addresses that are remembered; an attacker with more than these pays with connections.
    private static let most = 4_096

    private struct Bucket {
        var failures: Int
        var since: UInt64
    }

    private var buckets: [String: Bucket] = [:]
    private let attempts: Int

    package init(attempts: Int = Self.attempts) {
        self.attempts = attempts
    }

    /// Seconds until this address may try again; nil: now.
    package mutating func wait(of address: String, at now: UInt64) -> Int? {
        forgive(address, at: now)
        guard let bucket = buckets[address], bucket.failures >= attempts else { return nil }
        let next = bucket.since + Self.refill
        return max(1, Int((next - min(next, now) + 999) / 1000))
    }

    package mutating func failed(_ address: String, at now: UInt64) {
        forgive(address, at: now)
        if buckets[address] == nil, buckets.count >= Self.most { makeRoom(at: now) }
        buckets[address, default: Bucket(failures: 0, since: now)].failures += 1
    }

    private mutating func forgive(_ address: String, at now: UInt64) {
        guard var bucket = buckets[address], now >= bucket.since else { return }
        let earned = Int((now - bucket.since) / Self.refill)
        guard earned > 0 else { return }
        bucket.failures -= earned
        bucket.since += UInt64(earned) * Self.refill
        buckets[address] = bucket.failures > 0 ? bucket : nil
    }

    private mutating func makeRoom(at now: UInt64) {
        for address in Array(buckets.keys) { forgive(address, at: now) }
        // All of them fresh: the oldest goes.
        if buckets.count >= Self.most, let oldest = buckets.min(by: { $0.value.since < $1.value.since })?.key { buckets[oldest] = nil }
    }
}
