// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport

/// One API and one gateway under load; two more of each join and take their share; then the first ones leave. All load goes through the
/// balancer, and what fails is kept, also where somebody tries again.
struct ScaleScenario: Sendable {
    /// How the first ones are asked to leave.
    var farewell = SIGTERM
    var seededBug: (client: Int, frame: Int)?

    struct Report: Sendable {
        var findings: [Finding] = []
        /// REST requests without a good answer, by those who sent them.
        var failedRequests: [String] = []
        /// Writes that had to be sent again.
        var repeatedWrites = 0
        /// Watchers' connections that ended otherwise than by a close frame, or were refused; and what no server may ever do.
        var lostConnections: [String] = []
        /// How the first API and the first gateway ended.
        var ends: [ChildExit] = []
        /// Requests of each new API, and connections of each new gateway, by their own count: soon after they came, and when the first had left.
        var joined: [Int] = []
        var alone: [Int] = []
        var writes = 0
        var changes = 0
    }

    private static let slugs = ["production", "e1", "e2", "e3"]
    private static let paths = slugs.map { "acme/web/\($0)" }

    private struct Load: Sendable {
        let writers: [CampaignWriter]
        let readers: [Caller]
        let seed: UInt64

        func stop() {
            for writer in writers { writer.stop() }
            for reader in readers { reader.stop() }
        }
    }

    func run() async throws -> Report {
        let report = Events<Report>()
        try await withPostgresDatabase { database in
            try await DiscoveredCluster.with(postgres: database.url) { cluster in
                try await LoopGroup.withLoops(count: 1, name: "scale") { group in
                    report.emit(try await run(cluster, database, on: group.loops[0]))
                }
            }
        }
        return try await report.first(within: .zero, "the report")
    }

    private func run(_ cluster: DiscoveredCluster, _ database: PostgresDatabase, on loop: Loop) async throws -> Report {
        let first = [try await cluster.start("api", "api-1"), try await cluster.start("gateway", "gateway-1")]
        try await cluster.untilServers(["api/api-1 up", "gateway/gateway-1 up"])
        try await cluster.createEnvironments(Self.slugs)
        let seed = UInt64.random(in: 1...999_999)
        let population = try await watchers(40, cluster, seed, seededBug, on: loop)
        let target = CampaignWriter.Target(ports: [cluster.port], token: cluster.token, environments: Self.paths)
        let load = Load(
            writers: (0..<4).map { CampaignWriter($0, target, seed: seed) },
            readers: (0..<2).map { _ in Caller() },
            seed: seed
        )
        let changed = Events<(Report, [CampaignPopulation])>()
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for writer in load.writers { tasks.addTask { try await writer.run(pace: 20...60) } }
            for reader in load.readers { tasks.addTask { await Self.read(cluster, reader) } }
            tasks.addTask {
                defer { load.stop() }
                changed.emit(try await change(cluster, first, load, on: loop))
            }
            try await tasks.waitForAll()
        }
        let (report, later) = try await changed.first(within: .zero, "the report")
        return try await judge(report, database, load, [population] + later)
    }

    /// What comes and goes, while the load goes on.
    private func change(
        _ cluster: DiscoveredCluster,
        _ first: [DevProcess],
        _ load: Load,
        on loop: Loop
    ) async throws -> (Report, [CampaignPopulation]) {
        var report = Report()
        try await progress(load)
        // Anywhere: their ports are known to nobody but the registry.
        let ports = try (0..<4).map { _ in try freePort() }
        for (index, port) in ports.enumerated() {
            _ = try await cluster.start(index < 2 ? "api" : "gateway", index < 2 ? "api-\(index + 2)" : "gateway-\(index)", port: port)
        }
        let new: Set = ["api/api-2 up", "api/api-3 up", "gateway/gateway-2 up", "gateway/gateway-3 up"]
        try await cluster.untilServers(new.union(["api/api-1 up", "gateway/gateway-1 up"]))
        // By the balancer's slow start the first ones that come may still go to the old gateway.
        var later: [CampaignPopulation] = []
        repeat {
            later.append(try await watchers(6, cluster, load.seed + UInt64(later.count) + 1, nil, on: loop))
            try await progress(load)
            report.joined = try await Self.counts(ports)
        } while report.joined.contains(0) && later.count < 10
        for process in first { process.signal(farewell) }
        for process in first { report.ends.append(try await process.exit(within: .seconds(40))) }
        try await cluster.untilServers(new)
        try await progress(load)
        report.alone = try await Self.counts(ports)
        return (report, later)
    }

    private func judge(
        _ changed: Report,
        _ database: PostgresDatabase,
        _ load: Load,
        _ populations: [CampaignPopulation]
    ) async throws -> Report {
        var report = changed
        var histories = try await database.histories(Self.paths)
        let goals = Campaign.goals(histories)
        let writes = load.writers.flatMap(\.writes)
        WriteLedger.fillSecrets(&histories, from: writes)
        report.findings = WriteLedger.check(writes, histories)
        for population in populations {
            // Who is still behind after that is the checker's to say.
            _ = try? await eventually(within: .seconds(30), every: .milliseconds(100), "every watcher at its end") {
                try await population.behind(goals).isEmpty ? true : nil
            }
            let totals = try await population.totals()
            report.lostConnections += totals.losses + totals.faults
            report.changes += totals.changes
            for log in try await population.end() {
                if let finding = LogChecker.check(log, histories[log.environment]).finding { report.findings.append(finding) }
            }
        }
        report.failedRequests = load.readers.flatMap(\.failures.all)
        report.repeatedWrites = load.writers.map(\.repeats).reduce(0, +)
        report.writes = writes.count
        return report
    }

    // MARK: The load

    private func watchers(
        _ count: Int,
        _ cluster: DiscoveredCluster,
        _ seed: UInt64,
        _ bug: (client: Int, frame: Int)?,
        on loop: Loop
    ) async throws -> CampaignPopulation {
        let population = try await CampaignPopulation.start(
            CampaignPopulation.Plan(
                watchers: count,
                environments: Self.paths,
                balancer: cluster.port,
                gateways: [cluster.port],
                token: cluster.token,
                blindToken: try await Campaign.createBlindToken(cluster.rest),
                seed: seed,
                wide: [],
                seededBug: bug
            ),
            on: loop
        )
        _ = try await eventually(within: .seconds(30), "a first state for everybody") {
            try await population.behind([:]).isEmpty ? true : nil
        }
        return population
    }

    private static func read(_ cluster: DiscoveredCluster, _ reader: Caller) async {
        await reader.run {
            let answer = try await cluster.rest.call("GET", "\(Cluster.restPath)/configuration")
            return answer.status == 200 ? nil : "\(answer.status) \(answer.text.prefix(200))"
        }
    }

    private func progress(_ load: Load) async throws {
        let before = load.writers.map(\.writes.count)
        try await Caller.progress(load.readers, 30)
        _ = try await eventually(within: .seconds(40), "15 writes of each writer") { () -> Bool? in
            zip(load.writers, before).allSatisfy { $0.writes.count >= $1 + 15 } ? true : nil
        }
    }

    /// Two APIs' requests to resources and two gateways' connections, by what they say themselves.
    private static func counts(_ ports: [UInt16]) async throws -> [Int] {
        var counts: [Int] = []
        for (index, port) in ports.enumerated() {
            let name = index < 2 ? "api_requests_total{" : "gateway_connections"
            let lines = try await PlainHTTP(port: port).call("GET", "/metrics").text.split(separator: "\n")
            let own = lines.filter { $0.hasPrefix(name) && (index >= 2 || $0.contains("/v1/projects")) }
            counts.append(own.compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0) { $0 + Int($1) })
        }
        return counts
    }
}
