// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Logging
package import Reactor
import Synchronization

/// The balancer as the composition root runs it. Its state is guarded by its mutex; everything else lives on the loops.
package final class BalancerService: Sendable {
    /// Where it listens, once it does; ports that were 0 are real ones here.
    package struct Addresses: Sendable, Equatable {
        package let listeners: [SocketAddress]
        package let admin: SocketAddress?
    }

    struct State {
        var running: Running?
        /// Sockets that were bound for us; ours until the drain.
        var passed: PassedSockets
        var isStopping = false
        var listening = Listening.waiting([])
    }

    enum Listening {
        case waiting([CheckedContinuation<Addresses, any Error>])
        case done(Result<Addresses, any Error>)
    }

    /// What exists between the start and the end of `run`.
    struct Running: Sendable {
        let directory: LoopBound<PoolDirectory>
        let parts: [LoopBound<BalancerLoop>]
        let relay: SnapshotRelay
        let services: LoopServices
        let sources: LoopBound<ServerSources>
        let desk: LoopBound<AdminDesk>
        let site: LoopBound<AdminSite>?
        var live: LiveConfiguration
    }

    private let configuration: BalancerConfiguration
    private let routes: RouteTable
    let loops: LoopGroup
    let logger: Logger
    private let writeAccessLine: (@Sendable ([UInt8]) -> Void)?
    private let instance: String
    private let readConfiguration: (@Sendable () throws(BalancerError) -> BalancerConfiguration)?
    private let metricsPage: @Sendable () -> String
    private let tallies = TallyBook()
    let identities = ListenerIdentities()
    let changes = ApplyQueue()
    let state: Mutex<State>

    /// `instance` is our name on pages and in `/health`; `readConfiguration` is for operators who want
    /// the configuration to be read again, nil where it came from flags.
    /// `metricsPage` is what `GET /metrics` of the admin listener answers. The first of the loops also runs the health checks.
    /// `writeAccessLine` takes lines of the access log in HAProxy's format, on any loop; without it they go to the logger.
    /// A listener at the address of one of the `passed` sockets uses it; each must be used.
    package init(
        configuration: BalancerConfiguration,
        passed: PassedSockets = PassedSockets(),
        instance: String = "balancer",
        loops: LoopGroup,
        logger: Logger,
        writeAccessLine: (@Sendable ([UInt8]) -> Void)? = nil,
        readConfiguration: (@Sendable () throws(BalancerError) -> BalancerConfiguration)? = nil,
        metricsPage: @escaping @Sendable () -> String
    ) throws(BalancerError) {
        try configuration.validate()
        self.configuration = configuration
        state = Mutex(State(passed: passed))
        routes = try RouteTable(configuration)
        self.instance = instance
        self.readConfiguration = readConfiguration
        self.loops = loops
        self.logger = logger
        self.writeAccessLine = writeAccessLine
        self.metricsPage = metricsPage
    }

    /// The addresses, as soon as connections are accepted.
    package func listening() async throws -> Addresses {
        try await withCheckedThrowingContinuation { continuation in
            let result = state.withLock { state -> Result<Addresses, any Error>? in
                switch state.listening {
                case .waiting(let others):
                    state.listening = .waiting(others + [continuation])
                    return nil
                case .done(let result):
                    return result
                }
            }
            if let result { continuation.resume(with: result) }
        }
    }

    /// Listens and serves until the task is cancelled; then everything that is open is closed at once. `drain` first for a gentle end.
    ///
    /// - Parameter bound: called once every address is bound and before anybody is served; what needs special rights is over then.
    package func run(bound: @Sendable () throws -> Void = {}) async throws {
        do {
            let (running, addresses) = try await start(bound)
            settleListening(.success(addresses))
            await untilCancelled()
            await stop(running)
        } catch {
            settleListening(.failure(error))
            throw error
        }
    }

    /// Accepts nothing more, lets exchanges end, closes tunnels at their pace. Returns when all are gone, at the latest after `limits.drain`.
    package func drain() async {
        let running = state.withLock { state in
            // The loops close their listeners, and with the last holder the ports are free for a successor.
            state.isStopping = true
            state.running?.live.listeners = []
            state.passed = PassedSockets()
            return state.running
        }
        guard let running else { return }
        logger.log(.notice, "balancer drains", [.state: "draining"])
        await withDiscardingTaskGroup { group in
            for part in running.parts {
                group.addTask { await Self.drain(part, loops: running.parts.count) }
            }
        }
        logger.log(.notice, "balancer has drained", [.state: "drained"])
    }

    /// Replaces a pool's servers. Those whose name and address stay keep their health, connections and counts; tunnels and exchanges of
    /// the others go on until they end.
    package func update(pool: String, servers: [ServerConfiguration]) throws(BalancerError) {
        // Refused here, or nobody would hear of it.
        try PoolConfiguration.validate(servers, pool: pool)
        let directory = try runningDirectory()
        guard state.withLock({ $0.running?.live.configuration.pools.contains { $0.name == pool } }) == true else {
            throw BalancerError(.unknownPool, "there is no pool '\(pool)'")
        }
        directory.loop.post { try? directory.value.update(pool: pool, servers: servers) }
    }

    /// An operator's change of one server; `server` is of no meaning with `add`.
    package func perform(_ command: ServerCommand, pool: String, server: String) async throws {
        let directory = try runningDirectory()
        try await directory.loop.run { try directory.value.perform(command, pool: pool, server: server) }
    }

    /// Every pool and server as it is now.
    package func status() async throws -> [PoolStatus] {
        let directory = try runningDirectory()
        return try await directory.loop.run { directory.value.status() }
    }

    private func runningDirectory() throws(BalancerError) -> LoopBound<PoolDirectory> {
        guard let running = state.withLock({ $0.running }) else {
            throw BalancerError(.stopped, "the balancer isn't running; wait for `listening`")
        }
        return running.directory
    }

    // MARK: Start

    private struct Sockets: Sendable {
        let listeners: [LiveConfiguration.OpenListener]
        let admin: ListenSocket?
        /// Of the admin socket.
        let commands: ListenSocket?
    }

    private func openSockets() throws(BalancerError) -> Sockets {
        let passed = state.withLock(\.passed)
        try passed.check(configuration, operators: configuration.admin)
        let listeners = try LiveConfiguration.open(configuration.listeners, passed: passed, count: loops.loops.count)
        do throws(ReactorError) {
            func open(_ endpoint: Endpoint, mode: UInt32? = nil) throws(ReactorError) -> [ListenSocket] {
                if let given = passed.socket(for: endpoint, of: [endpoint]) { return try ListenSocket.open(given, count: 1) }
                return try ListenSocket.open(endpoint, isShared: true, mode: mode)
            }
            let admin = try configuration.admin?.bind.map { endpoint throws(ReactorError) in try open(endpoint) }
            let commands = try configuration.admin?.socket.map { path throws(ReactorError) in try open(Endpoint(unix: path), mode: 0o660) }
            return Sockets(listeners: listeners, admin: admin?.first, commands: commands?.first)
        } catch {
            throw BalancerError(.listenFailed, error.message, underlying: error)
        }
    }

    /// The sockets are the loops' when this returns: each closes its own as soon as it accepts no more.
    private func start(_ bound: @Sendable () throws -> Void) async throws -> (Running, Addresses) {
        let users = try AdminUsers(configuration.admin?.users ?? [])
        let secured = try identities.prepare(configuration.secureListeners)
        identities.adopt(secured)
        let sockets = try openSockets()
        try bound()
        let control = loops.loops[0]
        let keys = configuration.stickyKeys ?? randomKeys()
        let relay = SnapshotRelay()
        let (pools, limits) = (configuration.pools, configuration.limits)
        let logger = logger
        let (directory, snapshots) = try await control.run {
            let directory = PoolDirectory(pools, keys: keys, limits: limits, loop: control, logger: logger) { relay.publish($0) }
            return (LoopBound(directory, loop: control), directory.snapshots)
        }
        let sources = try await control.run { [configuration] in
            let sources = ServerSources(directory.value, configuration, keys: keys, loop: control, logger: logger)
            return LoopBound(sources, loop: control)
        }
        let services = services(directory)
        let settings = LoopSettings(configuration, routes: routes, services: services)
        var parts: [LoopBound<BalancerLoop>] = []
        for loop in loops.loops {
            parts.append(try await loop.run { LoopBound(BalancerLoop(settings, snapshots: snapshots, loop: loop), loop: loop) })
        }
        relay.connect(parts)
        for (index, part) in parts.enumerated() {
            let own = share(of: index, configuration.listeners, sockets.listeners, secured)
            try await part.loop.run {
                try part.value.prepare(own)
                part.value.listen(on: own)
            }
        }
        let (desk, site) = try await openAdmin(sockets, users, directory: directory, host: parts[0])
        try await control.run { directory.value.start() }
        var running = Running(
            directory: directory,
            parts: parts,
            relay: relay,
            services: services,
            sources: sources,
            desk: desk,
            site: site,
            live: LiveConfiguration(configuration: configuration, routes: routes, keys: keys, listeners: sockets.listeners)
        )
        state.withLock { [running] in $0.running = running }
        // Whoever runs it holds no socket: with a drain the last holder is gone.
        running.live.listeners = []
        return (running, Addresses(listeners: sockets.listeners.compactMap(\.address), admin: sockets.admin?.address))
    }

    /// One loop's sockets with what their clients have in common.
    func share(
        of index: Int,
        _ listeners: [ListenerConfiguration],
        _ open: [LiveConfiguration.OpenListener],
        _ secured: ListenerIdentities.Change
    ) -> [(socket: ListenSocket, traits: ListenerTraits)] {
        let securePort = listeners.first { $0.tls != nil }?.bind.port
        return zip(listeners, open).compactMap { listener, open in
            guard index < open.sockets.count else { return nil }
            let socket = open.sockets[index]
            let identity = secured.identity(of: listener.bind)
            return (socket, ListenerTraits(listener, address: socket.address, identity: identity, securePort: securePort))
        }
    }

    /// On the control loop, where all of it lives.
    private func openAdmin(
        _ sockets: Sockets,
        _ users: AdminUsers,
        directory: LoopBound<PoolDirectory>,
        host: LoopBound<BalancerLoop>
    ) async throws -> (desk: LoopBound<AdminDesk>, site: LoopBound<AdminSite>?) {
        let bind = configuration.admin?.bind
        let identity = bind.flatMap { identities.identity(of: $0) }
        let count = loops.loops.count
        let reload = readConfiguration.map { read in
            { @Sendable [weak self] () async -> [String] in await self?.reloadTellingFaults(read).faults ?? [] }
        }
        return try await host.loop.run {
            let desk = AdminDesk(directory: directory.value, host: host.value, loops: count, reload: reload)
            var bound: LoopBound<AdminSite>?
            if let socket = sockets.admin {
                let site = AdminSite(gate: AdminGate(users, bind: bind), desk: desk, host: host.value)
                try host.value.listenForOperators(on: socket, site: site, identity: identity)
                bound = LoopBound(site, loop: host.loop)
            }
            if let socket = sockets.commands { try host.value.listenForCommands(on: socket, desk: desk) }
            return (LoopBound(desk, loop: host.loop), bound)
        }
    }

    private func randomKeys() -> StickyKeyRing {
        if configuration.pools.contains(where: { $0.sticky != nil }) {
            logger.log(.warning, "no sticky keys: a random one is used, and cookies end with this process", [:])
        }
        return .random()
    }

    private func services(_ directory: LoopBound<PoolDirectory>) -> LoopServices {
        LoopServices(
            metrics: BalancerMetrics(),
            admission: UpgradeAdmission(perSecond: configuration.limits.upgradesPerSecond),
            logger: logger,
            writeAccessLine: writeAccessLine,
            metricsPage: metricsPage,
            instance: instance,
            tallies: tallies,
            directory: directory
        )
    }

    // MARK: End

    /// Meanwhile the files of certificates are looked at, off the loops: a disk may be slow.
    private func untilCancelled() async {
        while (try? await Task.sleep(for: .seconds(2))) != nil { identities.refresh(logger) }
    }

    private static func drain(_ part: LoopBound<BalancerLoop>, loops: Int) async {
        await withCheckedContinuation { continuation in
            part.loop.post { part.value.drain(done: { continuation.resume() }, loops: loops) }
        }
    }

    private func stop(_ running: Running) async {
        state.withLock { $0.running = nil }
        for part in running.parts { try? await part.loop.run { part.value.close() } }
        try? await running.directory.loop.run {
            running.desk.value.stop()
            running.sources.value.stop()
            running.directory.value.stop()
        }
        // The loops' parts have the directory, which tells the relay, which has the parts.
        running.relay.connect([])
    }

    private func settleListening(_ result: Result<Addresses, any Error>) {
        let waiting = state.withLock { state -> [CheckedContinuation<Addresses, any Error>] in
            guard case .waiting(let waiting) = state.listening else { return [] }
            state.listening = .done(result)
            return waiting
        }
        for continuation in waiting { continuation.resume(with: result) }
    }
}
