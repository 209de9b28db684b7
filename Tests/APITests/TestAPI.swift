// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Logging
import Metrics
import Notifier
import Reactor
import Store
import Telemetry
import TestSupport

/// One API on a free port, with a database of its own.
struct TestAPI: Sendable {
    static let rootToken = "root-token-of-the-tests-0123456789abcdef"
    /// The environment that `seed()` makes.
    static let path = "/v1/projects/acme/web/environments/production"

    let service: APIService
    let store: ConfigurationStore
    let redis: RedisClient
    let port: UInt16
    /// As the root token.
    var root: APIClient { http(Self.rootToken) }

    func http(_ token: String?) -> APIClient { APIClient(port: port, token: token) }

    /// Bytes as they are, and what comes back for them.
    func exchange(_ text: String, finishing: Bool = false) async throws -> [UInt8] {
        try await APIClient.exchange(port, Array(text.utf8), finishing: finishing)
    }

    /// `acme/web/production`, empty.
    func seed() async throws -> EnvironmentRecord {
        _ = try await store.createWorkspace(slug: "acme", actor: "root")
        _ = try await store.createProject(workspace: "acme", slug: "web", actor: "root")
        return try await store.createEnvironment(workspace: "acme", project: "web", slug: "production", actor: "root")
    }

    /// A client with a new token.
    func client(_ grants: Grant...) async throws -> APIClient {
        try await client(grants)
    }

    func client(_ grants: [Grant]) async throws -> APIClient {
        http(try await store.createToken(description: "of a test", grants: grants, expiresAt: nil, createdBy: "root").text)
    }
}

/// Lends an API with PostgreSQL, and with Redis where an URL is given; otherwise Redis is away for good.
/// - Parameter patience: how long the store waits for PostgreSQL; long, for machines that do much else.
func withAPI(
    redis: String = "unix:///nonexistent/redis.sock",
    postgres: String? = nil,
    patience: Duration = .seconds(25),
    logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
    hooks: APIHooks = APIHooks(),
    logins: LoginGuard = LoginGuard(),
    configure: (inout APIConfiguration) -> Void = { _ in },
    _ body: (TestAPI) async throws -> Void
) async throws {
    guard let postgres else {
        try await withPostgres {
            try await withAPI(
                redis: redis,
                postgres: $0,
                patience: patience,
                logger: logger,
                hooks: hooks,
                logins: logins,
                configure: configure,
                body
            )
        }
        return
    }
    var configuration = APIConfiguration()
    configuration.instance = "api-1"
    configuration.version = "1.2.3"
    configuration.drainDelay = .milliseconds(10)
    configure(&configuration)
    let endpoint = try RedisEndpoint(parsing: redis)
    try await LoopGroup.withLoops(count: 1) { loops in
        var storeConfiguration = StoreConfiguration(url: postgres)
        storeConfiguration.requestTimeout = patience
        storeConfiguration.rootTokenHash = TokenText.hash(TestAPI.rootToken)
        let keys = try KeyRing(parsing: KeyRing.generateKey(id: "one"))
        let store = try ConfigurationStore(configuration: storeConfiguration, keyRing: keys, loops: loops, logger: logger)
        let notifier = NotifierConfiguration(endpoint: endpoint)
        let notifierMetrics = NotifierMetrics()
        let client = RedisClient(notifier, on: loops.next(), metrics: notifierMetrics, logger: logger)
        let authenticator = MessageAuthenticator(key: Array("key of the tests".utf8))
        let registry = PrometheusRegistry()
        let service = try APIService(
            configuration: configuration,
            store: store,
            publisher: ChangePublisher(client, authenticator: authenticator, metrics: notifierMetrics),
            redis: client,
            directory: InstanceDirectory(client, cluster: "keyvane"),
            watchers: WatcherDirectory(client, cluster: "keyvane"),
            logins: logins,
            metricsText: { registry.render() },
            hooks: hooks,
            metricsFactory: registry,
            logger: logger
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            try await store.migrate()
            group.addTask { try await store.run() }
            group.addTask { await client.run() }
            group.addTask { try await service.run() }
            let address = try await service.listening()
            try await body(TestAPI(service: service, store: store, redis: client, port: UInt16(address.port)))
        }
    }
}

extension PlainAnswer {
    /// A member of the body's top object.
    subscript(_ name: String) -> JSONValue? { json?[name] }

    var json: JSONValue? { try? JSONParser.parse(body) }
}

extension JSONValue {
    subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    subscript(_ index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    var elements: [JSONValue] {
        guard case .array(let elements) = self else { return [] }
        return elements
    }

    func texts(_ member: String) -> [String] { elements.compactMap { $0[member]?.text } }
}
