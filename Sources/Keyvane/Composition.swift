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
        let listen = try role.settings.endpoint(.listen, fallback: "127.0.0.1:8081")
        guard case .tcp(let host, let port) = listen.kind else {
            throw SettingsError(.listen, "an API listens on HOST:PORT, not on \(listen)")
        }
        var configuration = APIConfiguration()
        configuration.host = host.isEmpty ? "0.0.0.0" : host
        configuration.port = Int(port)
        configuration.tls = try role.settings.serverTLS().map {
            APITLS(certificate: $0.certificate, key: $0.key, clientAuthorities: $0.clientAuthorities)
        }
        configuration.instance = role.name
        configuration.version = version
        configuration.drainDelay = try role.settings.duration(.drainDelay)
        configuration.origins = try role.settings.origins()
        configuration.maximumBodyBytes = try role.settings.count(.maximumBody) ?? configuration.maximumBodyBytes
        configuration.maximumImportBytes = try role.settings.count(.maximumImport) ?? configuration.maximumImportBytes
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
            policy: RetentionPolicy(
                changes: try role.settings.retention(.keepChanges),
                audit: try role.settings.retention(.keepAudit)
            ),
            logger: role.logger
        )
        return backends.components + [
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
                    _ = try await service.listening()
                    try await backends.waitForStore()
                    registry.started()
                    try await group.waitForAll()
                }
            },
        ]
    }

    // MARK: Gateway

    static func gateway(_ role: Role, echoes: Bool) async throws -> [Component] {
        let backends = try Backends(role, kind: .gateway)
        let listen = try role.settings.endpoint(.listen, fallback: "127.0.0.1:8091")
        var configuration = GatewayConfiguration(listen: listen, name: role.name)
        configuration.version = version
        let settings = role.settings
        configuration.tls = try settings.serverTLS().map {
            var options = TLSServerOptions(certificates: [.init(certificate: $0.certificate, key: $0.key)])
            options.clientAuthorities = $0.clientAuthorities
            return options
        }
        // The rest is for the listeners, the databases and the log.
        let room = max(Role.descriptorLimit - 256, 64)
        configuration.maximumConnections = try settings.count(.maximumConnections, atMost: room) ?? room
        configuration.maximumConnectionsPerToken = try settings.count(.maximumConnectionsPerToken)
        configuration.handshakeRate = try settings.count(.handshakeRate, atMost: 1_000_000)
        configuration.maximumMessage = try settings.count(.maximumMessage, atMost: 16 * 1024 * 1024) ?? configuration.maximumMessage
        let limits = WatchLimits()
        configuration.limits = WatchLimits(
            environments: try settings.count(.maximumEnvironments, atMost: 10_000).map(UInt16.init) ?? limits.environments,
            messagesPerSecond: try settings.count(.messageRate, atMost: 60_000).map(UInt16.init) ?? limits.messagesPerSecond
        )
        let origins = try settings.origins()
        configuration.echoes = echoes
        if !origins.isEmpty { configuration.origins = origins.contains("*") ? .any : .listed(origins) }
        // The gateway knows its connections, the registry must know the gateway's drain: the registry comes first and asks later.
        let connections = ConnectionCount()
        let registry = backends.registry(
            role,
            address: try await backends.advertised(role, listen),
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
            hooks: hooks,
            loops: role.loops,
            logger: role.logger
        )
        connections.read = { service.connections }
        return backends.components + [
            Component("registry") { await registry.run() },
            Component("gateway", drain: { await service.drain() }) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await service.run() }
                    _ = try await service.listening()
                    try await backends.waitForStore()
                    registry.started()
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
