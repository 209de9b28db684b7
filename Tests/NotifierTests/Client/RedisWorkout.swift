// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Notifier
import Reactor
import TestSupport

/// Everything that Keyvane does with Redis, at one address: publish, subscribe, register, count watchers.
struct RedisWorkout: Sendable {
    let client: RedisClient
    let batches: Events<[SubscriberEvent]>
    private let publisher: ChangePublisher

    /// The user of Redis' ACL that `docs/operations.md` asks for.
    static func acl(_ user: String, password: String, cluster: String) -> [String] {
        [
            user, "on", ">\(password)", "~\(cluster):*", "~{\(cluster)}:*", "&change-notifier*", "+@read", "+@write", "+@pubsub",
            "+@scripting",
            "+@connection", "-@dangerous", "+role", "+cluster|slots",
        ]
    }

    static func configuration(_ url: String) throws -> NotifierConfiguration {
        var configuration = try NotifierFixture.configuration(url, answerLimit: .seconds(2))
        configuration.cluster = "test"
        configuration.masterCheckInterval = .milliseconds(200)
        return configuration
    }

    static func run(
        _ configuration: NotifierConfiguration,
        log: CapturedLog = CapturedLog(),
        _ body: (RedisWorkout) async throws -> Void
    ) async throws {
        let metrics = NotifierMetrics(factory: NOOPMetricsHandler.instance)
        try await withClient(configuration, metrics: metrics, log: log) { client in
            try await withSubscriber(configuration, on: client.loop, metrics: metrics, log: log) { batches in
                let publisher = ChangePublisher(client, authenticator: NotifierFixture.authenticator, metrics: metrics)
                let record = InstanceRecord(role: .gateway, name: "gateway-1", address: "127.0.0.1:1", state: .ready, version: "1")
                let registry = InstanceRegistry(client, cluster: configuration.cluster, instance: record, logger: log.logger)
                let writer = WatcherLedgerWriter(client, cluster: configuration.cluster, gateway: "gateway-1", logger: log.logger)
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    tasks.addTask { await registry.run() }
                    tasks.addTask {
                        await writer.run { _ in
                            var tally = WatcherTally()
                            tally.add(silent: 3)
                            return [NotifierFixture.environmentID: tally]
                        }
                    }
                    try await body(RedisWorkout(client: client, batches: batches, publisher: publisher))
                    tasks.cancelAll()
                    try await tasks.waitForAll()
                }
            }
        }
    }

    /// How often the subscriber came back, the first time included.
    var connects: Int { batches.flat.count { $0 == .connected } }

    /// Waits for the subscriber to come back once more, and then for everything to work.
    func recovers(from connects: Int, revision: Int64) async throws {
        try await resubscribes(from: connects)
        try await works(revision: revision)
    }

    func resubscribes(from connects: Int) async throws {
        try await batches.until(within: .seconds(60), "the subscriber's return") { $0.joined().count { $0 == .connected } > connects }
    }

    func works(revision: Int64) async throws {
        try await publishes(revision: revision)
        let directory = InstanceDirectory(client, cluster: client.configuration.cluster)
        _ = try await eventually("the instance") { (try? await directory.instances())?.first?.name == "gateway-1" ? true : nil }
        let watchers = WatcherDirectory(client, cluster: client.configuration.cluster)
        _ = try await eventually("the watchers") {
            (try? await watchers.watchers(of: NotifierFixture.environmentID))?.total == 3 ? true : nil
        }
    }

    /// What Redis has taken, the subscriber gets.
    func publishes(revision: Int64) async throws {
        let change = NotifierFixture.change(revision)
        _ = try await eventually("a Redis that takes a message") { try? await publisher.publish([change]) } as Void
        try await batches.until("the message") { $0.joined().contains(.message(change)) }
    }
}
