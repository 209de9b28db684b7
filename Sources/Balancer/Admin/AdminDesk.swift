// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import Metrics
import Reactor

/// What pages and commands know and do of the balancer. Confined to the control loop; its service owns it.
final class AdminDesk {
    let instance: String
    let metricsPage: @Sendable () -> String
    private let directory: PoolDirectory
    private let host: BalancerLoop
    private let loops: Int
    private let tallies: TallyBook
    private let sampler = TrafficSampler()
    private let samples = SampledMetrics()
    private let startedAt: Int
    private let startedOn: UInt64
    private let reload: (@Sendable () async -> [String])?
    private var timer: LoopTimer?

    init(directory: PoolDirectory, host: BalancerLoop, loops: Int, reload: (@Sendable () async -> [String])?) {
        self.directory = directory
        self.host = host
        self.loops = loops
        self.reload = reload
        instance = host.settings.shared.instance
        metricsPage = host.settings.metricsPage
        tallies = host.settings.shared.tallies
        startedAt = time(nil)
        startedOn = host.loop.milliseconds
        timer = host.loop.every(.seconds(1)) { [weak self] in self?.look() }
    }

    func stop() {
        timer?.cancel()
    }

    var loop: Loop { host.loop }
    var isDraining: Bool { host.isDraining }

    func status() -> [PoolStatus] { directory.status() }

    func perform(_ command: ServerCommand, pool: String, server: String) throws(BalancerError) {
        try directory.perform(command, pool: pool, server: server)
    }

    /// All or nothing: a second change that is refused must not leave the first one.
    func perform(_ commands: [ServerCommand], pool: String, server: String) throws(BalancerError) {
        let before = status().first { $0.name == pool }?.servers.first { $0.name == server }
        var undo: [ServerCommand] = []
        do throws(BalancerError) {
            for command in commands {
                try perform(command, pool: pool, server: server)
                if let before, let reverse = command.reverse(to: before) { undo.append(reverse) }
            }
        } catch {
            for command in undo.reversed() { try? perform(command, pool: pool, server: server) }
            throw error
        }
    }

    /// `done` is called on the control loop, with all faults of the configuration; nil: there is nothing to read again.
    func reload(_ done: @escaping (_ faults: [String]?) -> Void) {
        guard let reload else {
            done(nil)
            return
        }
        let loop = loop
        let done = LoopBound(done, loop: loop)
        // Whoever asked waits for it, with the connection open.
        Task {
            let faults = await reload()
            loop.post { done.value(faults) }
        }
    }

    // MARK: Reports

    func report() -> StatusReport {
        StatusReport(
            instance: instance,
            processID: Int(getpid()),
            loops: loops,
            startedAt: startedAt,
            uptime: Int((host.loop.milliseconds - startedOn) / 1000),
            isDraining: isDraining,
            listeners: tallies.listeners.map { address in
                let totals = tallies.totals(of: .listener(address))
                return .init(address: address, figures: sampler.figures(.listener(address), totals, current: totals.open))
            },
            pools: directory.status().map(pool)
        )
    }

    private func pool(_ status: PoolStatus) -> StatusReport.Pool {
        let members = status.servers.map { server in
            let subject = TrafficSampler.Subject.server(pool: status.name, name: server.name)
            return StatusReport.PooledMember(
                status: server,
                figures: sampler.figures(subject, server.traffic, current: server.exchanges + server.tunnels)
            )
        }
        let (totals, current) = Self.sum(of: status, tallies)
        return StatusReport.Pool(
            status: status,
            figures: sampler.figures(.pool(status.name), totals, current: current),
            servers: members
        )
    }

    private static func sum(of status: PoolStatus, _ tallies: TallyBook) -> (TrafficTotals, current: Int) {
        var totals = tallies.totals(of: .pool(status.name))
        for server in status.servers { totals += server.traffic }
        return (totals, status.servers.reduce(0) { $0 + $1.exchanges + $1.tunnels })
    }

    /// Once a second, whether somebody looks or not: rates and peaks need it, and so do the gauges.
    private func look() {
        sampler.beginLook()
        samples.beginLook()
        for address in tallies.listeners {
            let totals = tallies.totals(of: .listener(address))
            sampler.seen(.listener(address), requests: totals[.requests], current: totals.open)
            samples.listener(address, connections: totals.open)
        }
        for status in directory.status() {
            let (totals, current) = Self.sum(of: status, tallies)
            sampler.seen(.pool(status.name), requests: totals[.requests], current: current)
            for server in status.servers {
                sampler.seen(
                    .server(pool: status.name, name: server.name),
                    requests: server.traffic[.requests],
                    current: server.exchanges + server.tunnels
                )
                samples.server(server, pool: status.name)
            }
        }
        sampler.endLook()
        samples.endLook()
    }
}

extension ServerCommand {
    /// What takes it back.
    fileprivate func reverse(to before: ServerStatus) -> ServerCommand? {
        switch self {
        case .state: .state(before.administrative)
        case .weight: .weight(before.weight)
        case .maxConnections: .maxConnections(before.maxConnections)
        case .route: .route(before.route)
        case .add, .remove: nil
        }
    }
}
