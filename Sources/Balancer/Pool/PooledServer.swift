// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Pools: which servers there are, how they are, and whose turn it is.
// Flows through: configurations and check results -> `PoolDirectory` (control loop) -> an immutable `PoolSnapshot` -> each loop's `PoolView`.
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
    let gauges: BalancerMetrics.ServerGauges
    private let exchangeCount = Atomic<Int>(0)
    private let tunnelCount = Atomic<Int>(0)
    private let requestCount = Atomic<Int>(0)
    private let tallies = Mutex<[TrafficTally]>([])

    init(pool: String, name: String, endpoint: Endpoint) {
        self.pool = pool
        self.name = name
        self.endpoint = endpoint
        authority = Array(endpoint.description.utf8)
        gauges = BalancerMetrics.ServerGauges(pool: pool, server: name)
    }

    var exchanges: Int { exchangeCount.load(ordering: .relaxed) }
    var tunnels: Int { tunnelCount.load(ordering: .relaxed) }
    var requests: Int { requestCount.load(ordering: .relaxed) }

    /// One loop's counts of this server.
    func enter(_ tally: TrafficTally) {
        tallies.withLock { $0.append(tally) }
    }

    /// Over all loops, since it is known.
    var traffic: TrafficTotals { TrafficTotals(tallies.withLock { $0 }) }

    func exchangeBegan() {
        exchangeCount.wrappingAdd(1, ordering: .relaxed)
        requestCount.wrappingAdd(1, ordering: .relaxed)
    }

    func exchangeEnded() {
        exchangeCount.wrappingSubtract(1, ordering: .relaxed)
    }

    func tunnelOpened() {
        tunnelCount.wrappingAdd(1, ordering: .relaxed)
        gauges.tunnels.increment()
    }

    func tunnelClosed() {
        tunnelCount.wrappingSubtract(1, ordering: .relaxed)
        gauges.tunnels.decrement()
    }
}
