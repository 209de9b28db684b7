// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What every loop must know of the whole gateway, and the health endpoints tell. Atomics only: any thread reads and writes.
final class GatewayStatus: Sendable {
    private let connections = Atomic<Int>(0)
    private let watchers = Atomic<Int>(0)
    /// For good: the process ends.
    private let draining = Atomic<Bool>(false)
    /// Until an operator says otherwise.
    private let asked = Atomic<Bool>(false)
    private let redis = Atomic<Bool>(false)
    private let metrics: GatewayMetrics
    private let limit: Atomic<Int>
    private let tokenLimit: Atomic<Int>

    init(metrics: GatewayMetrics, _ configuration: GatewayConfiguration) {
        self.metrics = metrics
        limit = Atomic(configuration.maximumConnections)
        tokenLimit = Atomic(configuration.maximumConnectionsPerToken ?? Int.max)
        metrics.connectionsLimit(configuration.maximumConnections)
    }

    /// Other limits, for whoever comes from now on.
    func adopt(_ configuration: GatewayConfiguration) {
        metrics.connectionsLimit(configuration.maximumConnections)
        limit.store(configuration.maximumConnections, ordering: .relaxed)
        tokenLimit.store(configuration.maximumConnectionsPerToken ?? Int.max, ordering: .relaxed)
    }

    /// Of one token; nil where there is none.
    var connectionLimit: Int? {
        let limit = tokenLimit.load(ordering: .relaxed)
        return limit == Int.max ? nil : limit
    }

    var connectionCount: Int { connections.load(ordering: .relaxed) }

    /// False at the limit: the caller sends the client away.
    func openConnection() -> Bool {
        let before = connections.wrappingAdd(1, ordering: .relaxed).oldValue
        guard before < limit.load(ordering: .relaxed) else {
            connections.wrappingSubtract(1, ordering: .relaxed)
            return false
        }
        metrics.connections(before + 1)
        return true
    }

    func connectionClosed() {
        metrics.connections(connections.wrappingSubtract(1, ordering: .relaxed).newValue)
    }

    func watchersChanged(by difference: Int) {
        metrics.watchers(watchers.wrappingAdd(difference, ordering: .relaxed).newValue)
    }

    var isDraining: Bool { draining.load(ordering: .relaxed) || asked.load(ordering: .relaxed) }

    /// True for the first caller.
    func beginDrain() -> Bool {
        !draining.exchange(true, ordering: .relaxed)
    }

    /// False where it changes nothing: it has been asked before, or the process is on its way out.
    func ask(toDrain isDraining: Bool) -> Bool {
        let before = asked.exchange(isDraining, ordering: .relaxed)
        return before != isDraining && !draining.load(ordering: .relaxed)
    }

    var isRedisConnected: Bool { redis.load(ordering: .relaxed) }

    func redisChanged(isConnected: Bool) {
        redis.store(isConnected, ordering: .relaxed)
    }
}
