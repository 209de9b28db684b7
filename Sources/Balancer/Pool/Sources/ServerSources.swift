// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Where the servers of the pools come from.
// Flows through: the configuration's servers, with names of several addresses spread over them (`NameWatcher`, `ResolvedNames`), and the
//   instances that somebody else has found (`DiscoveredServer`) -> `PoolDirectory.apply`.
// Owner: the control loop.
// Must hold: whatever changes, the directory gets the whole again and finds the difference itself; a source that fails keeps what it
//   said last.

import Logging
package import Reactor

/// An instance that was found at run time, in a registry or elsewhere.
package struct DiscoveredServer: Sendable, Hashable {
    package var name: String
    package var address: Endpoint
    /// It wants nothing new.
    package var isDraining: Bool

    package init(name: String, address: Endpoint, isDraining: Bool = false) {
        self.name = name
        self.address = address
        self.isDraining = isDraining
    }
}

/// The newest of every source. Confined to the control loop.
final class ServerSources {
    private let directory: PoolDirectory
    private let logger: Logger
    private var pools: [PoolConfiguration]
    private var keys: StickyKeyRing
    private var limits: BalancerLimits
    private var discovered: [String: [DiscoveredServer]] = [:]
    private var names: NameWatcher?

    init(_ directory: PoolDirectory, _ configuration: BalancerConfiguration, keys: StickyKeyRing, loop: Loop, logger: Logger) {
        self.directory = directory
        self.logger = logger
        self.keys = keys
        pools = configuration.pools
        limits = configuration.limits
        names = NameWatcher(on: loop, logger: logger) { [weak self] in _ = self?.refresh() }
        watchNames()
    }

    func stop() {
        names?.stop()
        names = nil
    }

    /// Another configuration; returns what the loops are to take over.
    func apply(_ configuration: BalancerConfiguration, keys: StickyKeyRing) -> [PoolSnapshot] {
        pools = configuration.pools
        limits = configuration.limits
        self.keys = keys
        watchNames()
        return refresh()
    }

    /// Every instance there is, by pool; pools that are not there, or don't ask for discovery, are passed over.
    func discover(_ sets: [String: [DiscoveredServer]]) {
        let before = discovered
        discovered = sets
        if Self.servers(before) != Self.servers(sets) {
            _ = refresh()
            logger.log(
                .info,
                "instances found",
                [.servers: sets.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.count)" }.joined(separator: " ")]
            )
        }
        for pool in pools where pool.discover.contains(.redis) {
            // Once for each drain: what its checks say afterwards counts again.
            let known = Set(before[pool.name, default: []].filter(\.isDraining))
            for server in sets[pool.name, default: []] where server.isDraining && !known.contains(server) {
                directory.announceDraining(of: server, in: pool.name)
            }
        }
    }

    private static func servers(_ sets: [String: [DiscoveredServer]]) -> [String: [ServerConfiguration]] {
        sets.mapValues { $0.map { ServerConfiguration(name: $0.name, address: $0.address) } }
    }

    private func watchNames() {
        names?.watch(Set(pools.flatMap { $0.servers.compactMap(\.address.name) }))
    }

    private func refresh() -> [PoolSnapshot] {
        let resolved = names?.resolved ?? ResolvedNames()
        let wanted = pools.map { pool in
            // A certificate is for the name: where that is what's checked, each connect looks the name up.
            guard pool.tls == nil || pool.tls?.serverName != nil else { return pool }
            var pool = pool
            pool.servers = resolved.spread(pool.servers)
            return pool
        }
        let found = Self.servers(discovered.filter { name, _ in pools.contains { $0.name == name && $0.discover.contains(.redis) } })
        return directory.apply(wanted, keys: keys, limits: limits, discovered: found)
    }
}
