// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The one place where the parts meet: which run in which role, in which order they start, and so, reversed, in which order they end.
// Flows through: settings into the plain configurations of the libraries; one library's values to another, where none may import the other.
// Owner: `Role.run` runs and drains what is returned here.
// Must hold: a role leaves the registry's `ready` state before it refuses anybody, and its databases outlive whatever uses them.

import API
import Crypto
import Foundation
import Gateway
import Glibc
import Logging
import Notifier
import Reactor
import Store
import Synchronization
import Telemetry

enum Composition {
    static let version = "0.1.0"

    // MARK: API

    static func api(_ role: Role) async throws -> [Component] {
        let backends = try Backends(role, kind: .api)
        let configuration = try role.settings.api(instance: role.name)
        let listen = Endpoint(host: configuration.host, port: UInt16(clamping: configuration.port))
        let publisher = ChangePublisher(
            backends.redis,
            authenticator: backends.authenticator,
            metrics: backends.notifierMetrics
        )
        let metrics = role.metrics
        let registry = backends.registry(role, address: try await backends.advertised(role, listen), connections: { 0 })
        var hooks = APIHooks()
        hooks.askedToDrain = { $0 ? registry.update(state: .draining) : registry.resumed() }
        let service = try APIService(
            configuration: configuration,
            store: backends.store,
            publisher: publisher,
            redis: backends.redis,
            directory: InstanceDirectory(backends.redis, cluster: backends.notifier.cluster),
            watchers: WatcherDirectory(backends.redis, cluster: backends.notifier.cluster),
            logins: backends.logins,
            metricsText: { metrics.render() },
            hooks: hooks,
            logger: role.logger
        )
        let relay = OutboxRelay(
            source: StoredOutbox(backends.store),
            publisher: publisher,
            metrics: backends.notifierMetrics,
            logger: role.logger
        )
        let retention = RetentionService(
            store: backends.store,
            policy: try role.settings.retentionPolicy(),
            logger: role.logger
        )
        let watch = SettingsWatch(role) { settings in
            let (policy, level) = (try settings.retentionPolicy(), try settings.logLevel())
            try service.configure(try settings.api(instance: role.name))
            retention.configure(policy)
            role.logLevel.current = level
        }
        let hangups = try await Signals.watch([SIGHUP], on: role.loops.loops[0])
        return backends.components + [
            Component("settings") {
                try await watch.run(hangups: hangups) {
                    _ = try await service.listening()
                    try await backends.waitForStore()
                }
            },
            Component("registry") { await registry.run() },
            Component("outbox relay") { await relay.run() },
            Component("retention") { await retention.run() },
            Component("change subscriber") {
                try await backends.subscribe(on: role.loops.loops[0], logger: role.logger) { service.received($0) }
            },
            Component(
                "api",
                // Says so to the registry itself, by its hook.
                drain: { await service.drain(immediately: role.isHurried()) }
            ) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await service.run() }
                    let address = try await service.listening()
                    try await backends.waitForStore()
                    registry.started()
                    role.manager.isReady("Serving on \(address)")
                    try await group.waitForAll()
                }
            },
        ]
    }

    // MARK: Gateway

    static func gateway(_ role: Role, echoes: Bool) async throws -> [Component] {
        let backends = try Backends(role, kind: .gateway)
        let configuration = try role.settings.gateway(name: role.name, echoes: echoes)
        // The gateway knows its connections, the registry must know the gateway's drain: the registry comes first and asks later.
        let connections = ConnectionCount()
        let registry = backends.registry(
            role,
            address: try await backends.advertised(role, configuration.listen),
            connections: { connections.current }
        )
        var hooks = GatewayHooks()
        let metrics = role.metrics
        hooks.metricsBody = { metrics.renderText() }
        hooks.pingRedis = { _ = try await backends.redis.send("PING") }
        hooks.drainBegan = { registry.update(state: .draining) }
        hooks.drainEnded = { registry.resumed() }
        let service = GatewayService(
            configuration,
            source: StoreSource(backends.store),
            doorbell: Doorbell(backends.notifier, authenticator: backends.authenticator, metrics: backends.notifierMetrics),
            ledger: WatcherLedgerWriter(
                backends.redis,
                cluster: backends.notifier.cluster,
                gateway: role.name,
                logger: role.logger
            ),
            logins: backends.logins,
            hooks: hooks,
            loops: role.loops,
            logger: role.logger
        )
        connections.read = { service.connections }
        let watch = SettingsWatch(role) { settings in
            let level = try settings.logLevel()
            try service.configure(try settings.gateway(name: role.name, echoes: echoes))
            role.logLevel.current = level
        }
        let hangups = try await Signals.watch([SIGHUP], on: role.loops.loops[0])
        return backends.components + [
            Component("settings") {
                try await watch.run(hangups: hangups) {
                    _ = try await service.listening()
                    try await backends.waitForStore()
                }
            },
            Component("registry") { await registry.run() },
            Component(
                "gateway",
                drain: {
                    // One with nothing to close would be gone before balancers, who look each second, have heard that it goes.
                    let heard = ContinuousClock.now + .seconds(2)
                    await service.drain()
                    if !role.isHurried() { try? await Task.sleep(until: heard) }
                }
            ) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await service.run() }
                    let address = try await service.listening()
                    try await backends.waitForStore()
                    registry.started()
                    role.manager.isReady("Serving on \(address)")
                    try await group.waitForAll()
                }
            },
        ]
    }

    // MARK: Without a role

    /// Lends a store that doesn't run, to a command that reaches the database by itself.
    static func withStore<Value: Sendable>(
        _ settings: Settings,
        _ body: (ConfigurationStore) async throws -> Value
    ) async throws -> Value {
        Logs.bootstrap(asJSON: try settings.logsAsJSON(onTerminal: isatty(STDERR_FILENO) == 1), level: try settings.logLevel())
        do {
            return try await LoopGroup.withLoops(count: 1, name: "command") { loops in
                let store = try ConfigurationStore(
                    configuration: StoreConfiguration(url: try settings.required(.postgres)),
                    keyRing: try KeyRing(parsing: settings.masterKeys()),
                    loops: loops,
                    logger: Logger(label: "command")
                )
                return try await body(store)
            }
        } catch let error as StoreError {
            throw RunError("\(error)")
        }
    }

    /// The same, connected and checked as a role's store is.
    static func withRunningStore<Value: Sendable>(
        _ settings: Settings,
        _ body: @escaping @Sendable (ConfigurationStore) async throws -> Value
    ) async throws -> Value {
        try await withStore(settings) { store in
            try await withThrowingTaskGroup(of: Value?.self) { group in
                group.addTask {
                    try await store.run()
                    return nil
                }
                group.addTask {
                    while !store.isAvailable { try await Task.sleep(for: .milliseconds(20)) }
                    return try await body(store)
                }
                defer { group.cancelAll() }
                // `run` ends before that by an error only: an old schema, a missing key, no database.
                guard let first = try await group.next(), let value = first else { throw CancellationError() }
                return value
            }
        }
    }
}

/// Asked by the registry's heartbeat before the gateway that answers exists. Guarded by its mutex.
private final class ConnectionCount: Sendable {
    private let reader = Mutex<@Sendable () -> Int>({ 0 })

    var current: Int { reader.withLock { $0 }() }

    var read: @Sendable () -> Int {
        get { reader.withLock { $0 } }
        set { reader.withLock { $0 = newValue } }
    }
}
