// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Glibc
import Logging
import Reactor
import Telemetry

extension Composition {
    static func balancer(_ role: Role, _ configuration: BalancerConfiguration, from source: BalancerSource) async throws -> [Component] {
        let metrics = role.metrics
        // Each client may need a connection to a server; the rest is for listeners, the registry and the log.
        let room = Role.connectionRoom / 2
        metrics.registerGauge(name: "balancer_connections_limit", help: MetricCatalog.help["balancer_connections_limit"] ?? "") {
            Double(room)
        }
        var readAgain: (@Sendable () throws(BalancerError) -> BalancerConfiguration)?
        if case .file = source.origin { readAgain = source.read }
        let passed = try role.manager.descriptors.map { try PassedSocket(taking: $0.number, name: $0.name) }
        for socket in passed {
            role.logger.info("A socket was passed to us", metadata: ["listener": "\(socket.address)", "names": "\(socket.name)"])
        }
        let service = try BalancerService(
            configuration: configuration,
            passed: PassedSockets(passed),
            instance: role.name,
            loops: role.loops,
            logger: role.logger,
            // Lines of HAProxy's format go where its tools can read them, apart from the log.
            writeAccessLine: { LogOutput.standardOutput.write($0) },
            readConfiguration: readAgain,
            metricsPage: { metrics.renderText() }
        )
        let watch = ConfigurationWatch(source: source, service: service, manager: role.manager)
        let finder = try InstanceFinder(role.settings, loop: role.loops.loops[0], name: role.name, logger: role.logger)
        let hangups = try await Signals.watch([SIGHUP], on: role.loops.loops[0])
        return [
            Component("discovery") { try await finder.run(for: service) },
            Component("configuration") { try await watch.run(hangups: hangups) },
            Component("balancer", drain: { await service.drain() }) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        try await service.run {
                            try Privileges.drop(
                                user: configuration.user,
                                group: configuration.group,
                                handingOver: [configuration.admin?.socket].compactMap { $0 }
                            )
                        }
                    }
                    let addresses = try await service.listening()
                    role.manager.isReady("Serving on \(addresses.listeners.map(\.description).joined(separator: ", "))")
                    try await group.waitForAll()
                }
            },
        ]
    }
}
