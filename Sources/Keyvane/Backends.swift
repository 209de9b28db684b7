// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Logging
import Notifier
import Reactor
import Store

/// PostgreSQL and Redis as API and gateway use them.
struct Backends: Sendable {
    let store: ConfigurationStore
    let redis: RedisClient
    let notifier: NotifierConfiguration
    let authenticator: MessageAuthenticator
    let notifierMetrics: NotifierMetrics
    let logins: LoginGuard
    private let kind: InstanceRecord.Role

    init(_ role: Role, kind: InstanceRecord.Role) throws {
        self.kind = kind
        guard role.manager.descriptors.isEmpty else {
            throw RunError("sockets were passed to this process (LISTEN_FDS), and only a balancer takes them: remove its .socket unit")
        }
        let settings = role.settings
        let keyRing = try KeyRing(parsing: settings.masterKeys())
        var storeConfiguration = StoreConfiguration(url: try settings.required(.postgres))
        storeConfiguration.requestTimeout = try settings.duration(.databaseTimeout)
        if let token = settings.text(.rootToken) { storeConfiguration.rootTokenHash = TokenText.hash(token) }
        store = try ConfigurationStore(configuration: storeConfiguration, keyRing: keyRing, loops: role.loops, logger: role.logger)
        let redisURL = try settings.required(.redis)
        let endpoint: RedisEndpoint
        do throws(NotifierError) {
            endpoint = try RedisEndpoint(parsing: redisURL)
        } catch {
            throw SettingsError(.redis, error.message)
        }
        var notifier = NotifierConfiguration(endpoint: endpoint)
        notifier.channels.changes = try settings.required(.changeChannel)
        notifier.channels.control = "\(notifier.channels.changes):control"
        notifier.cluster = try settings.required(.cluster)
        notifier.clientName = role.name
        self.notifier = notifier
        authenticator = MessageAuthenticator(
            keys: keyRing.derivedKeys(label: "change-notifier").map { key in key.withUnsafeBytes { Array($0) } }
        )
        notifierMetrics = NotifierMetrics()
        logins = LoginGuard(
            rate: try settings.count(.failedLogins) ?? LoginGuard.usualRate,
            trustedProxies: try settings.addressRanges(.trustedProxies),
            logger: role.logger
        )
        redis = RedisClient(notifier, on: role.loops.loops[0], metrics: notifierMetrics, logger: role.logger)
    }

    var components: [Component] {
        [
            // Any instance may be the first on a new database. Requests are answered from the start, with 503 until this has run.
            Component("store") {
                try await store.migrate()
                try await store.run()
            },
            Component("redis") { await redis.run() },
        ]
    }

    /// Returns once PostgreSQL answers, however long that takes.
    func waitForStore() async throws {
        while !store.isAvailable { try await Task.sleep(for: .milliseconds(100)) }
    }

    func registry(_ role: Role, address: String, connections: @escaping @Sendable () -> Int) -> InstanceRegistry {
        InstanceRegistry(
            redis,
            cluster: notifier.cluster,
            instance: InstanceRecord(role: kind, name: role.name, address: address, state: .starting, version: Composition.version),
            connections: connections,
            logger: role.logger
        )
    }

    /// Hears the change channel until the task is cancelled.
    func subscribe(on loop: Loop, logger: Logger, _ received: @escaping @Sendable ([SubscriberEvent]) -> Void) async throws {
        let subscriber = try await loop.run {
            let subscriber = ChangeSubscriber(
                notifier,
                authenticator: authenticator,
                on: loop,
                metrics: notifierMetrics,
                logger: logger,
                received: received
            )
            subscriber.start()
            return LoopBound(subscriber, loop: loop)
        }
        // Nothing is ever sent on this stream: it ends with the task.
        let (cancelled, continuation) = AsyncStream.makeStream(of: Void.self)
        for await _ in cancelled {}
        withExtendedLifetime(continuation) {}
        try await loop.run { subscriber.value.stop() }
    }

    /// Where others reach this instance: as set, or the address that it listens on, or, where that is every address, the local one that
    /// leads to Redis, which all instances share.
    func advertised(_ role: Role, _ listen: Endpoint) async throws -> String {
        if let text = role.settings.text(.advertise) {
            do {
                return try Endpoint(parsing: text).description
            } catch {
                throw SettingsError(.advertise, error.message)
            }
        }
        guard case .tcp(let host, let port) = listen.kind, host.isEmpty || host == "0.0.0.0" || host == "::" else {
            return listen.description
        }
        let loop = role.loops.loops[0]
        for (index, server) in notifier.endpoint.servers.enumerated() {
            // Sentinels and nodes are many, and this delays the start.
            let timeout = index == 0 ? Duration.seconds(2) : .milliseconds(500)
            let local = await withCheckedContinuation { (continuation: CheckedContinuation<String?, Never>) in
                loop.post {
                    // Without TLS also where Redis speaks it: the route is all that is asked for, and TCP finds it.
                    Connector.connect(to: server, on: loop, timeout: timeout) { result in
                        let connection = try? result.get()
                        let address = connection?.localAddress
                        // A Unix socket leads nowhere else.
                        continuation.resume(returning: address?.port == nil ? nil : address?.host)
                        connection?.close()
                    }
                }
            }
            if let local { return Endpoint(host: local, port: port).description }
        }
        return Endpoint(host: "127.0.0.1", port: port).description
    }
}
