// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Pools: which servers there are, how they are, and whose turn it is.
// Flows through: configurations, commands and check results -> `PoolDirectory` (control loop) -> an immutable `PoolSnapshot` -> each
//   loop's `PoolView`, which chooses a server or lets the request wait in the `PoolQueue`.
// Owner: the directory owns health; a snapshot belongs to nobody; a view belongs to its loop, with its turns and idle connections.
// Must hold: snapshots are swapped whole; a server's live counts survive every swap for as long as its name and address stay.

import Metrics
import Reactor
import Synchronization

/// One server for as long as its pool knows it by this name and address; shared by all loops.
final class PooledServer: Sendable {
    let pool: String
    let name: String
    let endpoint: Endpoint
    /// As servers write themselves into `Location`.
    let authority: [UInt8]
    /// The same in every process: consistent hashing counts on it.
    let identity: UInt64
    let series: BalancerMetrics.ServerSeries
    private let queue: PoolQueue
    /// Exchanges in the lower half, tunnels in the upper one: together they are what a limit counts.
    private let occupancy = Atomic<UInt64>(0)
    private let limitNow = Atomic<Int>(0)
    private let tallies = Mutex<[TrafficTally]>([])

    private static let tunnel: UInt64 = 1 << 32

    init(pool: String, name: String, endpoint: Endpoint, queue: PoolQueue) {
        self.pool = pool
        self.name = name
        self.endpoint = endpoint
        self.queue = queue
        authority = Array(endpoint.description.utf8)
        identity = StableHash.of(name)
        series = BalancerMetrics.ServerSeries(pool: pool, server: name)
    }

    var exchanges: Int { Int(occupancy.load(ordering: .relaxed) % Self.tunnel) }
    var tunnels: Int { Int(occupancy.load(ordering: .relaxed) / Self.tunnel) }
    var load: Int { Self.sum(occupancy.load(ordering: .relaxed)) }

    /// Exchanges and tunnels at once, 0 for any number. Set by the control loop; whoever raises it lets the queue look for room.
    var limit: Int {
        get { limitNow.load(ordering: .relaxed) }
        set { limitNow.store(newValue, ordering: .sequentiallyConsistent) }
    }

    var hasRoom: Bool {
        let limit = limit
        return limit == 0 || load < limit
    }

    /// One loop's counts of this server.
    func enter(_ tally: TrafficTally) {
        tallies.withLock { $0.append(tally) }
    }

    /// Over all loops, since it is known.
    var traffic: TrafficTotals { TrafficTotals(tallies.withLock { $0 }) }

    /// Takes a place for an exchange; false where the limit is reached.
    func beginExchange() -> Bool {
        guard limit > 0 else {
            occupancy.wrappingAdd(1, ordering: .relaxed)
            return true
        }
        var seen = occupancy.load(ordering: .sequentiallyConsistent)
        while Self.sum(seen) < limit {
            let (isTaken, now) = occupancy.weakCompareExchange(expected: seen, desired: seen + 1, ordering: .sequentiallyConsistent)
            if isTaken { return true }
            seen = now
        }
        return false
    }

    func exchangeEnded() {
        giveBack(1)
    }

    /// It keeps its place.
    func exchangeBecameTunnel() {
        occupancy.wrappingAdd(Self.tunnel - 1, ordering: .relaxed)
        series.tunnels.increment()
    }

    func tunnelClosed() {
        series.tunnels.decrement()
        giveBack(Self.tunnel)
    }

    /// The place is free before anybody is asked who waits, and a waiter is in the queue before it looks for a place: one of the two sees
    /// the other.
    private func giveBack(_ place: UInt64) {
        occupancy.wrappingSubtract(place, ordering: .sequentiallyConsistent)
        if limit > 0, queue.hasWaiters { queue.serve() }
    }

    private static func sum(_ occupancy: UInt64) -> Int {
        Int(occupancy % tunnel + occupancy / tunnel)
    }
}
