// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Logging
import Notifier
import Reactor

/// Tells the balancer which APIs and gateways the registry lists, once a second.
struct InstanceFinder: Sendable {
    private static let interval = Duration.seconds(1)

    private let configuration: NotifierConfiguration
    private let loop: Loop
    private let logger: Logger

    init(_ settings: Settings, loop: Loop, name: String, logger: Logger) throws {
        let setting: Setting = settings.text(.discover) == nil ? .redis : .discover
        let endpoint: RedisEndpoint
        do throws(NotifierError) {
            endpoint = try RedisEndpoint(parsing: settings.text(setting) ?? "")
        } catch {
            throw SettingsError(setting, error.message)
        }
        var configuration = NotifierConfiguration(endpoint: endpoint)
        configuration.cluster = try settings.required(.cluster)
        configuration.clientName = name
        self.configuration = configuration
        self.loop = loop
        self.logger = logger
    }

    /// Until the task is cancelled. The first listing waits until a pool asks for it: nobody needs a Redis for servers that are listed.
    func run(for service: BalancerService) async throws {
        _ = try await service.listening()
        while !service.wantsDiscovery { try await Task.sleep(for: Self.interval) }
        // Not before: a connection that nobody wants must not look like one that is down.
        let redis = RedisClient(configuration, on: loop, metrics: NotifierMetrics(hearsChanges: false), logger: logger)
        let directory = InstanceDirectory(redis, cluster: configuration.cluster)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await redis.run() }
            group.addTask { try await list(directory, redis, for: service) }
            try await group.waitForAll()
        }
    }

    private func list(_ directory: InstanceDirectory, _ redis: RedisClient, for service: BalancerService) async throws {
        let clock = ContinuousClock()
        let began = clock.now
        var tracker = InstanceTracker()
        var isFailing = false
        while true {
            if redis.isConnected {
                do throws(NotifierError) {
                    let records = try await directory.instances()
                    let elapsed = began.duration(to: clock.now)
                    let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
                    service.discover(tracker.listed(records, at: seconds))
                    isFailing = false
                } catch {
                    // The servers that were found last stay. A Redis that is away has its own line in the log.
                    if !isFailing { logger.warning("the registry can't be read", metadata: error.logMetadata) }
                    isFailing = true
                }
            }
            try await Task.sleep(for: Self.interval)
        }
    }
}
