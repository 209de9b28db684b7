// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Metrics
import Reactor

/// One pool with its servers under watch. Confined to the control loop, owned by the directory.
final class ManagedPool {
    let loop: Loop
    let logger: Logger
    private(set) var limits: BalancerLimits
    let queue: PoolQueue
    private(set) var transport: ServerTransport
    private(set) var checkToken: CheckToken
    private var lookAtFilesAt: UInt64 = 0
    private(set) var configuration: PoolConfiguration
    private(set) var servers: [ManagedServer] = []
    private let publish: (PoolChange) -> Void
    private var keys: StickyKeyRing
    private var signer: StickySigner
    private var sticky: StickyRule?
    private var gauges: BalancerMetrics.PoolGauges
    /// Found at run time, in the order of their coming: instances of the registry, then addresses of names.
    private var discovered: [ServerConfiguration] = []
    private var added: [ServerConfiguration] = []
    /// Servers that an operator took out, as they were then: they stay out until somebody configures or announces them otherwise.
    private var removed: Set<ServerConfiguration> = []
    /// Left the pool, but have exchanges or tunnels still: should they come back, their counts are right.
    private var retired: [PooledServer] = []
    /// What is published while no slow start is under way stays true until something happens.
    private var isRising = false
    private var isStarted = false

    init(
        _ configuration: PoolConfiguration,
        keys: StickyKeyRing,
        limits: BalancerLimits,
        loop: Loop,
        logger: Logger,
        publish: @escaping (PoolChange) -> Void
    ) {
        self.configuration = configuration
        self.keys = keys
        signer = StickySigner(keys, pool: configuration.name)
        self.limits = limits
        self.loop = loop
        self.logger = logger
        self.publish = publish
        queue = PoolQueue(limit: limits.queued)
        gauges = BalancerMetrics.PoolGauges(pool: configuration.name)
        transport = ServerTransport(configuration, logger: logger)
        checkToken = CheckToken(file: configuration.health.webSocketTokenFile)
        merge()
    }

    var name: String { configuration.name }

    /// Passive signs alone never take out more than the configured share of a pool.
    var allowsEjection: Bool {
        let ejected = servers.count { $0.health.standing == .ejected }
        return (ejected + 1) * 100 <= servers.count * configuration.passive.maxEjectedPercent
    }

    func hasOtherUsable(than server: ManagedServer) -> Bool {
        let isBackup = server.effective.isBackup
        return servers.contains { $0 !== server && $0.isUsable && $0.effective.isBackup == isBackup }
    }

    func server(_ name: String) -> ManagedServer? {
        servers.first { $0.server.name == name }
    }

    func start() {
        isStarted = true
        for server in servers { server.checkNow() }
    }

    func stop() {
        for server in servers { server.stop() }
        queue.open([])
    }

    /// The pool is gone; its exchanges and tunnels are not.
    func remove() {
        stop()
        for server in servers {
            publish(.keepTunnels(of: server.server))
            server.server.series.destroy()
        }
        for server in retired { server.series.destroy() }
        gauges.destroy()
    }

    func timePassed() {
        for server in servers {
            server.timePassed()
            server.server.series.exchanges.set(server.server.exchanges)
        }
        gauges.queued.set(queue.count)
        renewTransport()
        for server in retired where server.load == 0 { forget(server) }
        retired.removeAll { $0.load == 0 }
        if isRising { changed() }
    }

    /// Certificates are replaced while everything runs.
    private func renewTransport() {
        guard loop.milliseconds >= lookAtFilesAt else { return }
        lookAtFilesAt = loop.milliseconds + 5000
        guard let renewed = transport.renewed(logger: logger) else { return }
        transport = renewed
        changed()
    }

    // MARK: Configuration

    func configure(_ new: PoolConfiguration, keys: StickyKeyRing, limits: BalancerLimits, discovered: [ServerConfiguration]) {
        let old = configuration
        configuration = new
        self.limits = limits
        queue.change(limit: limits.queued)
        if keys != self.keys {
            self.keys = keys
            signer = StickySigner(keys, pool: name)
        }
        self.discovered = discovered
        if new.tls != old.tls { transport = ServerTransport(new, logger: logger) }
        checkToken = CheckToken(file: new.health.webSocketTokenFile)
        for server in servers { server.poolChanged(from: old) }
        merge()
    }

    func change(_ servers: [ServerConfiguration]) {
        configuration.servers = servers
        merge()
    }

    func add(_ server: ServerConfiguration) throws(BalancerError) {
        try PoolConfiguration.validate([server], pool: name)
        guard self.server(server.name) == nil else {
            throw BalancerError(
                .serverExists,
                "pool '\(name)' has a server '\(server.name)' already; remove it first, or choose another name"
            )
        }
        if let holder = servers.first(where: { $0.server.endpoint == server.address }) {
            throw BalancerError(.serverExists, "'\(server.address)' is the address of '\(holder.server.name)' in pool '\(name)' already")
        }
        removed = removed.filter { $0.name != server.name && $0.address != server.address }
        added.append(server)
        merge()
    }

    func remove(_ server: ManagedServer) {
        added.removeAll { $0.name == server.server.name }
        if server.origin != .added { removed.insert(server.configured) }
        merge()
    }

    /// Makes the servers what configuration, discovery and operators say together. Those of the same name and address stay as they are.
    private func merge() {
        let wanted = ServerMerge(configured: configuration.servers, discovered: discovered, added: added, removed: removed)
        removed = wanted.removed
        let before = servers
        let wasUsable = before.contains { $0.isUsable }
        var new: [ManagedServer] = []
        var after: [ManagedServer] = []
        for (server, origin) in wanted.servers {
            let known = before.first { $0.isKnown(as: server) }
            if let known {
                known.configure(server, origin: origin)
                after.append(known)
                continue
            }
            let made = ManagedServer(server, as: pooled(server), origin: origin, of: self)
            new.append(made)
            after.append(made)
        }
        servers = after
        for gone in before where !servers.contains(where: { $0 === gone }) { leave(gone) }
        // Servers that come together come to an empty pool, and there is nothing to spare them from.
        if wasUsable, isStarted { for server in new { server.startSlowly() } }
        membersChanged()
        if isStarted { for server in new { server.checkNow() } }
    }

    private func pooled(_ server: ServerConfiguration) -> PooledServer {
        if let back = retired.firstIndex(where: { $0.name == server.name && $0.endpoint == server.address }) {
            return retired.remove(at: back)
        }
        return PooledServer(pool: name, name: server.name, endpoint: server.address, queue: queue)
    }

    private func leave(_ gone: ManagedServer) {
        gone.stop()
        // Whatever closed its tunnels: it is none of the pool's any more, and they go on until they end.
        publish(.keepTunnels(of: gone.server))
        if gone.server.load > 0 {
            // A successor of the same name, at another address, has the series by now.
            if !servers.contains(where: { $0.server.name == gone.server.name }) {
                gone.server.series.up.set(0)
                gone.server.series.draining.set(1)
                gone.server.series.weight.set(0)
            }
            retired.append(gone.server)
        } else {
            forget(gone.server)
        }
    }

    /// Out of the scrapes; but the same labels may belong to its successor at another address by now.
    private func forget(_ server: PooledServer) {
        if !servers.contains(where: { $0.server.name == server.name }) { server.series.destroy() }
    }

    // MARK: Changes

    func changedStanding(_ server: ManagedServer, from before: ServerStanding) {
        // First the new turns, then the closing: who comes back must not come back to the same server.
        changed()
        switch server.standing {
        case .down, .maint:
            guard before != .down, before != .maint else { return }
            switch configuration.onMarkedDown {
            case .keep: break
            case .cut: publish(.closeTunnels(of: server.server, perSecond: nil))
            case .paced(let perSecond): publish(.closeTunnels(of: server.server, perSecond: perSecond))
            }
        case .drained:
            publish(.closeTunnels(of: server.server, perSecond: limits.drainPace))
        case .up, .drain, .draining:
            publish(.keepTunnels(of: server.server))
        case .ejected:
            break
        }
    }

    /// Names, routes or keys may be others.
    func membersChanged() {
        sticky = nil
        changed()
    }

    /// Something that loops or waiting requests must know of is another now.
    func changed() {
        let snapshot = snapshot
        for member in snapshot.members {
            member.server.limit = member.limit
            member.server.series.weight.set(member.isCandidate ? Double(member.share) / Double(SlowStart.unit) : 0)
        }
        publish(.snapshot(snapshot))
        queue.open(snapshot.members.filter(\.isCandidate).map(\.server))
        gauges.panic.set(snapshot.isPanicking ? 1 : 0)
    }

    var snapshot: PoolSnapshot {
        let now = loop.milliseconds
        isRising = servers.contains { $0.slowStart != nil }
        if sticky == nil { sticky = StickyRule(configuration, signer: signer, servers: servers.map(\.effective)) }
        return PoolSnapshot(
            configuration,
            members: servers.map { server in
                PoolSnapshot.Entry(
                    server: server.server,
                    configuration: server.effective,
                    standing: server.standing,
                    isLeaving: server.administration.wish == .drain,
                    fraction: server.fraction(at: now)
                )
            },
            sticky: sticky,
            queue: queue,
            transport: transport
        )
    }
}
