// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor

/// All pools with their servers' health. Confined to the control loop; the loops hear of changes through `publish`.
final class PoolDirectory {
    private struct Entry {
        let configuration: PoolConfiguration
        let signer: StickySigner?
        var servers: [CheckedServer] = []
    }

    private var entries: [Entry] = []
    private let loop: Loop
    private let logger: Logger
    private let publish: (_ pool: Int, PoolSnapshot) -> Void
    private var ticks: LoopTimer?

    init(
        _ pools: [PoolConfiguration],
        keys: StickyKeyRing,
        loop: Loop,
        logger: Logger,
        publish: @escaping (_ pool: Int, PoolSnapshot) -> Void
    ) {
        loop.assertCurrent()
        self.loop = loop
        self.logger = logger
        self.publish = publish
        entries = pools.map { Entry(configuration: $0, signer: $0.sticky == nil ? nil : StickySigner(keys, pool: $0.name)) }
        for (index, pool) in pools.enumerated() { replaceServers(of: index, by: pool.servers) }
    }

    var snapshots: [PoolSnapshot] { entries.indices.map(snapshot) }

    /// Every server is up until its checks say otherwise, and the first ones run now.
    func start() {
        for entry in entries {
            for server in entry.servers { server.checkNow() }
        }
        ticks = loop.every(.milliseconds(500)) { [weak self] in
            guard let self else { return }
            for entry in entries {
                for server in entry.servers { server.timePassed() }
            }
        }
    }

    func stop() {
        ticks?.cancel()
        for entry in entries {
            for server in entry.servers { server.stop() }
        }
    }

    /// Servers of the same name and address keep their health and counts.
    func update(pool: Int, servers: [ServerConfiguration]) {
        let before = entries[pool].servers
        replaceServers(of: pool, by: servers)
        for server in entries[pool].servers where !before.contains(where: { $0 === server }) { server.checkNow() }
        logger.log(.info, "pool has new servers", [.pool: entries[pool].configuration.name, .servers: "\(servers.count)"])
        publish(pool, snapshot(pool))
    }

    func connectFailed(_ server: PooledServer) {
        for entry in entries { entry.servers.first { $0.server === server }?.connectFailed() }
    }

    private func replaceServers(of pool: Int, by servers: [ServerConfiguration]) {
        let before = entries[pool].servers
        entries[pool].servers = servers.map { server in
            guard let known = before.first(where: { $0.server.name == server.name && $0.server.endpoint == server.address }) else {
                return added(server, to: pool)
            }
            guard known.weight != server.weight else { return known }
            known.stop()
            return CheckedServer(known, weight: server.weight)
        }
        let after = entries[pool].servers
        for gone in before where !after.contains(where: { $0.server === gone.server }) {
            gone.stop()
            // The same labels may belong to its successor at another address by now.
            if !after.contains(where: { $0.server.name == gone.server.name }) { gone.server.gauges.destroy() }
        }
    }

    private func added(_ server: ServerConfiguration, to pool: Int) -> CheckedServer {
        let configuration = entries[pool].configuration
        return CheckedServer(
            PooledServer(pool: configuration.name, name: server.name, endpoint: server.address),
            weight: server.weight,
            pool: configuration,
            loop: loop,
            logger: logger,
            changed: { [weak self] in self?.changed(pool) },
            allowsEjection: { [weak self] in self?.allowsEjection(pool) ?? false }
        )
    }

    private func changed(_ pool: Int) {
        publish(pool, snapshot(pool))
    }

    /// Passive signs alone never take out more than the configured share of a pool.
    private func allowsEjection(_ pool: Int) -> Bool {
        let servers = entries[pool].servers
        let ejected = servers.count { $0.machine.standing == .ejected }
        return (ejected + 1) * 100 <= servers.count * entries[pool].configuration.passive.maxEjectedPercent
    }

    private func snapshot(_ pool: Int) -> PoolSnapshot {
        let entry = entries[pool]
        var sticky: StickyTable?
        if let configuration = entry.configuration.sticky, let signer = entry.signer {
            sticky = StickyTable(configuration, signer: signer, servers: entry.servers.map(\.server.name))
        }
        return PoolSnapshot(
            name: entry.configuration.name,
            members: entry.servers.map { .init(server: $0.server, weight: $0.weight, standing: $0.machine.standing) },
            sticky: sticky
        )
    }
}
