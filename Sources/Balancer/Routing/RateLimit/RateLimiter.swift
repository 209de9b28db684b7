// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Rate limits: how many requests a second a client may make.
// Flows through: a request's token or address -> a hash -> its bucket -> admitted, or when to come again.
// Owner: a route has its limiter, which outlives changes of the configuration that don't touch it; shards are guarded by their mutexes.
// Must hold: one limit over all loops; bounded memory; no token is kept.

import Synchronization

/// A token bucket for each key, over all loops: the limit holds in total. Sharded by the key's hash, so that loops rarely meet; each shard is
/// guarded by its mutex, held for some dozen instructions. Keys are seen as hashes with a secret of the process only, so no token is kept
/// and nobody can make keys collide.
package final class RateLimiter: Sendable {
    package enum Verdict: Sendable, Equatable {
        case admitted
        /// Seconds until it would be, at least 1.
        case refused(retryAfter: Int)
    }

    /// 16 bits of keys together, some 3 MB once there are that many; beyond, the least recently used one starts anew.
    private static let shardCount = 16
    private static let keysPerShard = 4096

    let configuration: RateLimitConfiguration
    private let shards: [RateLimitShard]

    package init(_ configuration: RateLimitConfiguration) {
        self.configuration = configuration
        let keys = Self.keysPerShard
        shards = (0..<Self.shardCount).map { _ in RateLimitShard(configuration, capacity: keys) }
    }

    /// `now` is the monotonic clock in nanoseconds.
    package func admit(_ key: UInt64, at now: UInt64) -> Verdict {
        shards[Int(key >> 60)].admit(key, at: now)
    }

    /// How many keys are remembered.
    package var keyCount: Int { shards.reduce(0) { $0 + $1.keyCount } }
}

/// One shard's buckets. Guarded by its mutex.
private final class RateLimitShard: Sendable {
    private let table: Mutex<RateLimitTable>

    init(_ configuration: RateLimitConfiguration, capacity: Int) {
        table = Mutex(RateLimitTable(configuration, capacity: capacity))
    }

    var keyCount: Int { table.withLock { $0.keyCount } }

    func admit(_ key: UInt64, at now: UInt64) -> RateLimiter.Verdict {
        table.withLock { $0.admit(key, at: now) }
    }
}

/// Buckets as the moments at which each will be full again (GCRA: the generic cell rate algorithm), which is all there is to know of one.
package struct RateLimitTable: Sendable {
    private struct Bucket {
        var key: UInt64
        var fullAt: UInt64
        /// Neighbours in the order of use; the table's own index where there is none.
        var newer: Int32
        var older: Int32
    }

    private static let none: Int32 = -1

    /// Nanoseconds that one request costs, and that a full bucket holds.
    private let cost: UInt64
    private let depth: UInt64
    private let capacity: Int
    private var buckets: [Bucket] = []
    private var places: [UInt64: Int32] = [:]
    private var newest = none
    private var oldest = none

    package init(_ configuration: RateLimitConfiguration, capacity: Int) {
        cost = UInt64(clamping: Int64(min(1e9 / configuration.rate, 1e17).rounded(.up)))
        let depth = cost.multipliedReportingOverflow(by: UInt64(max(configuration.burst, 1)))
        self.depth = depth.overflow ? .max / 4 : min(depth.partialValue, .max / 4)
        self.capacity = capacity
    }

    package var keyCount: Int { buckets.count }

    package mutating func admit(_ key: UInt64, at now: UInt64) -> RateLimiter.Verdict {
        let place = touch(key, at: now)
        let bucket = buckets[Int(place)]
        let fullAt = max(bucket.fullAt, now) + cost
        // Loops read the clock on their own, so `now` may be a moment behind the last one: the maximum above takes care.
        guard fullAt - now <= depth else {
            let wait = fullAt - now - depth
            return .refused(retryAfter: Int(clamping: (wait + 999_999_999) / 1_000_000_000))
        }
        buckets[Int(place)].fullAt = fullAt
        return .admitted
    }

    /// The key's place, now the most recently used one.
    private mutating func touch(_ key: UInt64, at now: UInt64) -> Int32 {
        if let known = places[key] {
            guard known != newest else { return known }
            unlink(known)
            link(known)
            return known
        }
        let place: Int32
        if buckets.count < capacity {
            place = Int32(truncatingIfNeeded: buckets.count)
            buckets.append(Bucket(key: key, fullAt: now, newer: Self.none, older: Self.none))
        } else {
            place = oldest
            places[buckets[Int(place)].key] = nil
            unlink(place)
            buckets[Int(place)] = Bucket(key: key, fullAt: now, newer: Self.none, older: Self.none)
        }
        places[key] = place
        link(place)
        return place
    }

    private mutating func unlink(_ place: Int32) {
        let bucket = buckets[Int(place)]
        if bucket.newer == Self.none { newest = bucket.older } else { buckets[Int(bucket.newer)].older = bucket.older }
        if bucket.older == Self.none { oldest = bucket.newer } else { buckets[Int(bucket.older)].newer = bucket.newer }
    }

    private mutating func link(_ place: Int32) {
        buckets[Int(place)].newer = Self.none
        buckets[Int(place)].older = newest
        if newest == Self.none { oldest = place } else { buckets[Int(newest)].newer = place }
        newest = place
    }
}
