// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Logging
import Notifier
import Reactor
import Store

/// PostgreSQL and Redis as an API has them, and the environments `bench/fanout/e0`, `e1`, … in them. Immutable.
struct BenchBackends: Sendable {
    let store: ConfigurationStore
    let publisher: ChangePublisher
    let authenticator: MessageAuthenticator
    /// One a channel.
    let environments: [UUID]
    let postgresURL: String
    let redisPort: UInt16
    let loops: LoopGroup

    /// Lends them connected. The loops are not the fleet's, which sleeps while a run is at saturation.
    static func withBackends(
        _ settings: Settings,
        channels: Int,
        _ body: @escaping @Sendable (BenchBackends) async throws -> Void
    ) async throws {
        let keyRing = try KeyRing(parsing: settings.masterKeys())
        let keys = keyRing.derivedKeys(label: "change-notifier").map { key in key.withUnsafeBytes { Array($0) } }
        let redisURL = try settings.required(.redis)
        let notifier = NotifierConfiguration(endpoint: try RedisEndpoint(parsing: redisURL))
        let url = try settings.required(.postgres)
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = .warning
            return handler
        }
        let logger = Logger(label: "bench")
        try await LoopGroup.withLoops(count: 2, name: "changes") { loops in
            let store = try ConfigurationStore(configuration: StoreConfiguration(url: url), keyRing: keyRing, loops: loops, logger: logger)
            let metrics = NotifierMetrics()
            let redis = RedisClient(notifier, on: loops.loops[0], metrics: metrics, logger: logger)
            try await store.migrate()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await store.run() }
                group.addTask { await redis.run() }
                while !store.isAvailable || !redis.isConnected { try await Task.sleep(for: .milliseconds(20)) }
                let authenticator = MessageAuthenticator(keys: keys)
                try await body(
                    BenchBackends(
                        store: store,
                        publisher: ChangePublisher(redis, authenticator: authenticator, metrics: metrics),
                        authenticator: authenticator,
                        environments: try await environments(channels, in: store),
                        postgresURL: url,
                        redisPort: URLComponents(string: redisURL)?.port.flatMap { UInt16($0) } ?? 6379,
                        loops: loops
                    )
                )
                group.cancelAll()
            }
        }
    }

    private static func environments(_ count: Int, in store: ConfigurationStore) async throws -> [UUID] {
        try await unlessThere { () throws(StoreError) in _ = try await store.createWorkspace(slug: "bench", actor: "root") }
        try await unlessThere { () throws(StoreError) in
            _ = try await store.createProject(workspace: "bench", slug: "fanout", actor: "root")
        }
        var environments: [UUID] = []
        for index in 0..<count {
            try await unlessThere { () throws(StoreError) in
                _ = try await store.createEnvironment(workspace: "bench", project: "fanout", slug: "e\(index)", actor: "root")
            }
            let path = try EnvironmentPath(workspace: "bench", project: "fanout", environment: "e\(index)")
            environments.append(try await store.environment(path).id)
        }
        return environments
    }

    private static func unlessThere(_ make: () async throws(StoreError) -> Void) async throws(StoreError) {
        do throws(StoreError) {
            try await make()
        } catch {
            guard error.code == .conflict else { throw error }
        }
    }
}
