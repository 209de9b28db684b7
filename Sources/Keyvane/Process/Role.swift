// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import Metrics
import Reactor
import ServiceLifecycle
import Synchronization
import Telemetry

/// What every role shares: settings, logs, metrics, loops, and an orderly end.
struct Role: Sendable {
    let settings: Settings
    let source: SettingsSource
    let name: String
    let logger: Logger
    let metrics: PrometheusRegistry
    let loops: LoopGroup
    let manager: ServiceManager
    let logLevel: LogLevel
    /// True once the stop was a SIGINT: don't wait for others to notice.
    let isHurried: @Sendable () -> Bool

    /// Sets the process up, runs the components that `compose` makes, and returns when all have ended.
    ///
    static func run(
        _ source: SettingsSource,
        _ settings: Settings,
        compose: @Sendable (Role) async throws -> [Component]
    ) async throws {
        let manager = try ServiceManager.ours()
        let kind = source.role.rawValue
        let logLevel = Logs.bootstrap(
            asJSON: try settings.logsAsJSON(onTerminal: isatty(STDERR_FILENO) == 1),
            level: try settings.logLevel()
        )
        let metrics = PrometheusRegistry(help: MetricCatalog.help, buckets: MetricCatalog.buckets)
        metrics.registerProcessMetrics()
        metrics.register(.gauge, name: "keyvane_build_info", help: MetricCatalog.help["keyvane_build_info"] ?? "") {
            [MetricSample(labels: [("version", Composition.version), ("role", kind)], value: 1)]
        }
        MetricsSystem.bootstrap(metrics)
        let name = settings.text(.name) ?? "\(kind)-\(hostName())-\(getpid())"
        var logger = Logger(label: kind)
        logger[metadataKey: "instance"] = .string(name)
        raiseDescriptorLimit(logger)
        let unknown = source.unknownVariables
        if !unknown.isEmpty {
            logger.warning(
                "These variables are no settings, and nobody reads them",
                metadata: ["names": .string(unknown.joined(separator: " "))]
            )
        }
        let count = try settings.count(.loops) ?? LoopGroup.usableProcessors
        let hurried = Hurry()
        try await LoopGroup.withLoops(count: count, name: kind) { [logger] loops in
            let signals = try await Signals.watch(Signals.stop, on: loops.loops[0])
            let role = Role(
                settings: settings,
                source: source,
                name: name,
                logger: logger,
                metrics: metrics,
                loops: loops,
                manager: manager,
                logLevel: logLevel,
                isHurried: { hurried.isSet }
            )
            var components = try await compose(role)
            if let patience = manager.patience {
                // First, and so the last to end.
                components.insert(
                    Component("watchdog") { try await Watchdog(manager: manager, loops: loops).run(patience: patience) },
                    at: 0
                )
            }
            var configuration = ServiceGroupConfiguration(services: components, logger: logger)
            // The balancer of the containers around us kills after this; nothing of ours needs longer.
            configuration.maximumGracefulShutdownDuration = .seconds(35)
            let group = ServiceGroup(configuration: configuration)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    var stopping = false
                    for await number in signals {
                        // Asked twice, a person wants the terminal back.
                        if stopping { _exit(128 + number) }
                        stopping = true
                        if number == SIGINT { hurried.set() }
                        manager.isStopping()
                        await group.triggerGracefulShutdown()
                    }
                }
                tasks.addTask { try await group.run() }
                defer { tasks.cancelAll() }
                try await tasks.next()
            }
        }
    }

    private final class Hurry: Sendable {
        private let flag = Atomic<Bool>(false)
        var isSet: Bool { flag.load(ordering: .relaxed) }
        func set() { flag.store(true, ordering: .relaxed) }
    }

    private static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Connections that a gateway may have: the files and sockets that this process may come to have open, less those for listeners, databases
    /// and the log.
    static var connectionRoom: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 - 256 }
        return max(Int(clamping: limit.rlim_max) - 256, 64)
    }

    /// Sockets are descriptors: the soft limit is often 1,024 while the hard one allows many more.
    private static func raiseDescriptorLimit(_ logger: Logger) {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            logger.info("Raised the limit of open files", metadata: ["limit": .stringConvertible(limit.rlim_cur)])
        }
    }
}
