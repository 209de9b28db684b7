// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The directory: every pool and server with its state, on the control loop.
// Flows through: configurations, discovered servers, operators' commands and check results -> `ManagedPool` and `ManagedServer` ->
//   changes that `publish` carries to all loops.
// Owner: the control loop owns all of it; what leaves is an immutable snapshot or an order to close tunnels.
// Must hold: a change touches the servers it names and no other; each loop hears of changes in the order in which they were made.

import Logging
import Reactor

/// What all loops have to hear of.
enum PoolChange: Sendable {
    case snapshot(PoolSnapshot)
    /// At this pace over all loops; nil is at once.
    case closeTunnels(of: PooledServer, perSecond: Int?)
    /// The server is back: what has not been closed yet stays.
    case keepTunnels(of: PooledServer)
}

/// All pools with their servers' health. Confined to the control loop; the loops hear of changes through `publish`.
final class PoolDirectory {
    private var pools: [ManagedPool]
    private let loop: Loop
    private let logger: Logger
    private let publish: (PoolChange) -> Void
    private var ticks: LoopTimer?

    init(
        _ pools: [PoolConfiguration],
        keys: StickyKeyRing,
        limits: BalancerLimits,
        loop: Loop,
        logger: Logger,
        publish: @escaping (PoolChange) -> Void
    ) {
        loop.assertCurrent()
        self.loop = loop
        self.logger = logger
        self.publish = publish
        self.pools = pools.map { ManagedPool($0, keys: keys, limits: limits, loop: loop, logger: logger, publish: publish) }
    }

    var snapshots: [PoolSnapshot] { pools.map(\.snapshot) }

    /// Every server is up until its checks say otherwise, and the first ones run now.
    func start() {
        for pool in pools { pool.start() }
        ticks = loop.every(.milliseconds(250)) { [weak self] in
            guard let self else { return }
            for pool in self.pools { pool.timePassed() }
        }
    }

    func stop() {
        ticks?.cancel()
        for pool in pools { pool.stop() }
    }

    func connectFailed(_ server: PooledServer) {
        for pool in pools { pool.servers.first { $0.server === server }?.connectFailed() }
    }

    func announcedDraining(_ server: PooledServer) {
        for pool in pools { pool.servers.first { $0.server === server }?.announcedDraining(in: "an answer") }
    }

    /// Pools are compared by name, their servers by name and address; those that stay keep their health, counts, tunnels and what operators
    /// changed. `discovered` is what was found at run time for each pool: instances of the registry, then addresses of names. Returns
    /// what the loops are to take over in this turn, in the order of `wanted`.
    func apply(
        _ wanted: [PoolConfiguration],
        keys: StickyKeyRing,
        limits: BalancerLimits,
        discovered: [String: [ServerConfiguration]]
    ) -> [PoolSnapshot] {
        var known = Dictionary(uniqueKeysWithValues: pools.map { ($0.name, $0) })
        pools = wanted.map { configuration in
            let found = discovered[configuration.name] ?? []
            if let pool = known.removeValue(forKey: configuration.name) {
                pool.configure(configuration, keys: keys, limits: limits, discovered: found)
                return pool
            }
            let pool = ManagedPool(configuration, keys: keys, limits: limits, loop: loop, logger: logger, publish: publish)
            pool.configure(configuration, keys: keys, limits: limits, discovered: found)
            pool.start()
            return pool
        }
        for gone in known.values { gone.remove() }
        return snapshots
    }

    /// A registry says sooner than the next check that a server wants nothing new.
    func announceDraining(of announced: DiscoveredServer, in pool: String) {
        let servers = pools.first { $0.name == pool }?.servers ?? []
        for server in servers where server.server.name == announced.name || server.server.endpoint == announced.address {
            server.announcedDraining(in: "its registry")
        }
    }

    /// Replaces a pool's configured servers.
    func update(pool name: String, servers: [ServerConfiguration]) throws(BalancerError) {
        try PoolConfiguration.validate(servers, pool: name)
        let pool = try pool(name)
        pool.change(servers)
        logger.log(.info, "pool has new servers", [.pool: name, .servers: "\(servers.count)"])
    }

    // MARK: Operators

    /// `server` is of no meaning with `add`, whose configuration has the name.
    func perform(_ command: ServerCommand, pool name: String, server serverName: String) throws(BalancerError) {
        let pool = try pool(name)
        if case .add(let server) = command {
            try pool.add(server)
        } else {
            guard let server = pool.server(serverName) else {
                throw BalancerError(.unknownServer, "pool '\(name)' has no server '\(serverName)'")
            }
            try pool.perform(command, on: server)
        }
        logger.log(.notice, "an operator changed a server", [.pool: name, .server: serverName, .command: command.name])
    }

    func status() -> [PoolStatus] {
        pools.map(\.status)
    }

    private func pool(_ name: String) throws(BalancerError) -> ManagedPool {
        guard let pool = pools.first(where: { $0.name == name }) else {
            throw BalancerError(.unknownPool, "there is no pool '\(name)'")
        }
        return pool
    }
}
