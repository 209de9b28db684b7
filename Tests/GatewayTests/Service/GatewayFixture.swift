// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Foundation
import Gateway
import Logging
import Notifier
import Reactor
import Store
import TestSupport

/// A gateway on a free port with a real PostgreSQL and a real Redis behind it, and one environment `acme/web/production`.
final class GatewayFixture: Sendable {
    static let rootToken = "root-token-of-the-tests-0123456789-abcdef"
    static let authenticator = MessageAuthenticator(key: Array(0..<32))
    /// Each gateway has a Redis, a database and loops of its own.
    private static let turns = Turns(16)
    static let silent = Logger(label: "gateway-tests") { _ in SwiftLogNoOpLogHandler() }

    let service: GatewayService
    let source: CountingSource
    let store: ConfigurationStore
    let database: PostgresDatabase
    let redis: RedisProcess
    let publisher: ChangePublisher
    let directory: WatcherDirectory
    let environment: EnvironmentRecord
    let port: UInt16
    /// The clients' own.
    let clients: Loop

    private init(
        service: GatewayService,
        source: CountingSource,
        store: ConfigurationStore,
        database: PostgresDatabase,
        redis: RedisProcess,
        publisher: ChangePublisher,
        directory: WatcherDirectory,
        environment: EnvironmentRecord,
        port: UInt16,
        clients: Loop
    ) {
        self.service = service
        self.source = source
        self.store = store
        self.database = database
        self.redis = redis
        self.publisher = publisher
        self.directory = directory
        self.environment = environment
        self.port = port
        self.clients = clients
    }

    static func with<Value>(
        loops: Int = 2,
        redisURL: String? = nil,
        redis own: RedisProcess? = nil,
        hooks: GatewayHooks = GatewayHooks(),
        logins: LoginGuard = LoginGuard(),
        isolation: isolated (any Actor)? = #isolation,
        configure: (inout GatewayConfiguration) -> Void = { _ in },
        _ body: (GatewayFixture) async throws -> Value
    ) async throws -> Value {
        var configuration = GatewayConfiguration(listen: Endpoint(host: "127.0.0.1", port: 0), name: "gateway-1")
        configure(&configuration)
        let settings = configuration
        return try await turns.withTurn {
            try await withPostgresDatabase { database in
                try await lend(own) { redis in
                    try await LoopGroup.withLoops(count: loops + 2) { all in
                        try await LoopGroup.withLoops(count: loops, name: "gateway") { gatewayLoops in
                            try await run(
                                settings,
                                hooks,
                                logins,
                                database,
                                redis,
                                notifier: try notifier(redisURL ?? redis.url),
                                all,
                                gatewayLoops,
                                body
                            )
                        }
                    }
                }
            }
        }
    }

    /// The test's own Redis, or one for this gateway.
    private static func lend<Value>(
        _ own: RedisProcess?,
        isolation: isolated (any Actor)? = #isolation,
        _ body: (RedisProcess) async throws -> Value
    ) async throws -> Value {
        if let own { return try await body(own) }
        return try await withRedis { try await body($0) }
    }

    private static func notifier(_ url: String) throws -> NotifierConfiguration {
        var configuration = NotifierConfiguration(endpoint: try RedisEndpoint(parsing: url))
        // A busy test machine must not look like a Redis that is away.
        configuration.answerLimit = .seconds(10)
        return configuration
    }

    private static func run<Value>(
        _ configuration: GatewayConfiguration,
        _ hooks: GatewayHooks,
        _ logins: LoginGuard,
        _ database: PostgresDatabase,
        _ redis: RedisProcess,
        notifier: NotifierConfiguration,
        _ loops: LoopGroup,
        _ gatewayLoops: LoopGroup,
        isolation: isolated (any Actor)? = #isolation,
        _ body: (GatewayFixture) async throws -> Value
    ) async throws -> Value {
        let metrics = NotifierMetrics(factory: NOOPMetricsHandler.instance)
        var storeConfiguration = StoreConfiguration(url: database.url)
        storeConfiguration.requestTimeout = .seconds(20)
        storeConfiguration.rootTokenHash = TokenText.hash(rootToken)
        let keys = try KeyRing(parsing: "one:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        let store = try ConfigurationStore(configuration: storeConfiguration, keyRing: keys, loops: loops, logger: silent)
        try await store.migrate()
        var direct = notifier
        direct.endpoint = try RedisEndpoint(parsing: redis.url)
        let client = RedisClient(direct, on: loops.loops[0], metrics: metrics, logger: silent)
        let directory = WatcherDirectory(client, cluster: "keyvane")
        let source = CountingSource(store)
        let service = GatewayService(
            configuration,
            source: source,
            doorbell: Doorbell(notifier, authenticator: authenticator, metrics: metrics),
            ledger: WatcherLedgerWriter(client, cluster: "keyvane", gateway: configuration.name, logger: silent),
            logins: logins,
            hooks: hooks,
            loops: gatewayLoops,
            metrics: GatewayMetrics(factory: NOOPMetricsHandler.instance),
            logger: silent
        )
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await store.run() }
            tasks.addTask { await client.run() }
            tasks.addTask { try await service.run() }
            defer { tasks.cancelAll() }
            let address = try await service.listening()
            _ = try await eventually("Redis and PostgreSQL") { client.isConnected && store.isAvailable ? true : nil }
            _ = try await store.createWorkspace(slug: "acme", actor: "root")
            _ = try await store.createProject(workspace: "acme", slug: "web", actor: "root")
            let environment = try await store.createEnvironment(workspace: "acme", project: "web", slug: "production", actor: "root")
            let publisher = ChangePublisher(client, authenticator: authenticator, metrics: metrics)
            let fixture = GatewayFixture(
                service: service,
                source: source,
                store: store,
                database: database,
                redis: redis,
                publisher: publisher,
                directory: directory,
                environment: environment,
                port: address.port ?? 0,
                clients: loops.loops[1]
            )
            let value = try await body(fixture)
            tasks.cancelAll()
            while let result = await tasks.nextResult() { _ = result }
            return value
        }
    }

    // MARK: Writing

    enum Edit {
        case set(String, String)
        case secret(String, String)
        case delete(String)

        var change: EntryChange {
            switch self {
            case .set(let name, let value): EntryChange(name: name, op: .set(value), kind: .variable)
            case .secret(let name, let value): EntryChange(name: name, op: .set(value), kind: .secret)
            case .delete(let name): EntryChange(name: name, op: .delete)
            }
        }
    }

    /// One transaction; announced on Redis unless `quietly`.
    @discardableResult
    func commit(_ edits: Edit..., to environment: EnvironmentRecord? = nil, quietly: Bool = false) async throws -> [Change] {
        let outcome = try await store.mutate(
            Mutation(environmentID: (environment ?? self.environment).id, changes: edits.map(\.change), actor: "token:ab12cd34")
        )
        if !quietly { try await publisher.publish(outcome.changes.map(Self.message)) }
        return outcome.changes
    }

    static func message(_ change: Change) -> ChangeMessage {
        ChangeMessage(
            environmentID: change.environmentID.uuidString.lowercased(),
            name: change.name,
            value: change.value?.text,
            isSecret: change.kind == .secret,
            operation: change.op == .set ? .set : .delete,
            revision: change.revision,
            version: change.version,
            first: change.first,
            last: change.last,
            mark: change.mark,
            at: change.at.description,
            by: change.by
        )
    }

    func token(
        _ permissions: Set<Permission> = [.read, .readSecrets],
        names: [String]? = nil,
        expiresAt: Date? = nil
    ) async throws -> (
        record: TokenRecord, text: String
    ) {
        let grant = Grant(workspace: "acme", project: "web", names: names, permissions: permissions)
        return try await store.createToken(description: "test", grants: [grant], expiresAt: expiresAt, createdBy: "root")
    }

    func makeEnvironment(_ slug: String) async throws -> EnvironmentRecord {
        try await store.createEnvironment(workspace: "acme", project: "web", slug: slug, actor: "root")
    }

    // MARK: Watching

    func connect(
        _ query: String = "",
        token: String? = rootToken,
        fields: [(name: String, value: String)] = [],
        subprotocols: [String] = [],
        configure: @escaping @Sendable (WebSocketClientConnection) -> Void = { _ in }
    ) async throws -> WebSocketClient {
        let authorization = token.map { [(name: "Authorization", value: "Bearer \($0)")] } ?? []
        return try await WebSocketClient.connect(
            port: port,
            "/v1/watch\(query)",
            fields: authorization + fields,
            subprotocols: subprotocols,
            on: clients,
            configure: configure
        )
    }

    /// A watcher of `acme/web/production` that has its snapshot or first changes.
    func watch(
        _ parameters: String = "",
        token: String = rootToken,
        configure: @escaping @Sendable (WebSocketClientConnection) -> Void = { _ in }
    ) async throws -> Watcher {
        let client = try await connect("?environment=acme/web/production\(parameters)", token: token, configure: configure)
        let watcher = Watcher(client)
        try await client.until("the first state") {
            $0.contains { $0.hasPrefix(#"{"type":"s"#) && $0.contains("\"cursor\"") || $0.hasPrefix(#"{"type":"c"#) }
        }
        return watcher
    }
}

/// What one watcher of one environment was shown.
struct Watcher: Sendable {
    struct Item: Decodable, Hashable, Sendable {
        let op: String?
        let name: String
        let value: String?
        let isSecret: Bool
        let version: Int64
        let revision: Int64
    }

    struct Frame: Decodable, Hashable, Sendable {
        let type: String
        let environment: String?
        let previousRevision: Int64?
        let revision: Int64?
        let cursor: String?
        let entries: [Item]?
        let changes: [Item]?
    }

    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    let client: WebSocketClient

    init(_ client: WebSocketClient) {
        self.client = client
    }

    static func frames(_ messages: [String]) -> [Frame] {
        messages.compactMap { try? JSONDecoder().decode(Frame.self, from: Data($0.utf8)) }.filter { $0.cursor != nil }
    }

    var frames: [Frame] { Self.frames(client.messages) }

    /// The values after all frames; throws where a frame doesn't continue the one before it.
    static func state(_ frames: [Frame], since start: Int64? = nil) throws -> [String: String] {
        var values: [String: String] = [:]
        var revision = start
        for frame in frames {
            if let entries = frame.entries {
                values = Dictionary(uniqueKeysWithValues: entries.map { ($0.name, $0.value ?? "") })
            } else {
                guard frame.previousRevision == revision else {
                    throw Violation(description: "a frame from \(frame.previousRevision ?? -1) came after revision \(revision ?? -1)")
                }
                var last = revision ?? 0
                for change in frame.changes ?? [] {
                    guard change.revision > last else { throw Violation(description: "revision \(change.revision) came after \(last)") }
                    last = change.revision
                    values[change.name] = change.op == "set" ? change.value ?? "" : nil
                }
            }
            revision = frame.revision
        }
        return values
    }

    /// Waits until the watcher stands at a revision, and gives its values.
    @discardableResult
    func values(at revision: Int64, since start: Int64? = nil, within limit: Duration = .seconds(30)) async throws -> [String: String] {
        let messages = try await client.until(within: limit, "revision \(revision)") { messages in
            messages.contains { $0.contains("\"revision\":\(revision),\"cursor\"") }
        }
        return try Self.state(Self.frames(messages), since: start)
    }
}
