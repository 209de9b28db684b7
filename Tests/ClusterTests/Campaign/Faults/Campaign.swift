// Keyvane
// SPDX-License-Identifier: Apache-2.0

// A fault campaign: everything breaks at once, at random, and then every watcher must know what PostgreSQL knows.
// Flows through: writers through APIs into PostgreSQL; frames through gateways into every client's log; faults into all of them; at the end
//   the change table, the logs and the answers into the checker.
// Owner: `Campaign.run` owns the cluster, its PostgreSQL, its Redis behind a proxy, the clients' loop. Everything ends with it.
// Must hold: nothing is judged before all is quiet; what is random comes from the seed, which is printed.

import Foundation
import Reactor
import TestSupport

struct Campaign: Sendable {
    var watchers = 300
    var environments = 20
    var writers = 8
    var gateways = 3
    var time = Duration.seconds(45)
    /// Between two writes of a writer, in milliseconds.
    var pace = 10...90
    var seed = UInt64.random(in: 1...999_999)
    /// Without it only clients are disconnected.
    var breaksServers = true
    var seededBug: (client: Int, frame: Int)?

    struct Report: Sendable {
        var seed: UInt64
        var findings: [Finding] = []
        /// Faults of clients' connections, processes that fell over by themselves, REST answers that differ.
        var surprises: [String] = []
        var faults: [String: Int] = [:]
        var story: [String] = []
        var totals = CampaignClient.Totals()
        var writes = 0
        var repeatedWrites = 0
        var revisions = 0
        var conflated = 0
        var quietAfter = Duration.zero
        var watchers = 0

        var summary: String {
            let kinds = faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            return """
                campaign: seed \(seed), \(watchers) watchers
                campaign: \(faults.values.reduce(0, +)) faults: \(kinds)
                campaign: \(writes) writes answered (\(repeatedWrites) repeats), \(revisions) changes committed
                campaign: \(totals.changes) changes delivered in \(totals.frames) frames, \(totals.snapshots) snapshots, \
                \(totals.connects) connections, \(conflated) conflated frames
                campaign: all caught up \(quietAfter) after the last fault, \(findings.count) findings, \(surprises.count) surprises
                """
        }
    }

    func run() async throws -> Report {
        print("campaign: seed \(seed), \(time)")
        return try await withPrivatePostgres { database in
            try await withRedis { redis in
                try await withRedisProxy(to: redis.port) { proxy in
                    let report = Events<Report>()
                    try await withCluster(["--gateways", "\(gateways)", "--redis", proxy.url, "--postgres", database.url]) { cluster in
                        try await LoopGroup.withLoops(count: 1, name: "campaign") { group in
                            let backends = CampaignBackends(database: database, redis: redis, proxy: proxy)
                            report.emit(try await run(cluster, backends, on: group.loops[0]))
                        }
                    }
                    return try await report.first(within: .zero, "the report")
                }
            }
        }
    }

    private func run(_ cluster: Cluster, _ backends: CampaignBackends, on loop: Loop) async throws -> Report {
        let state = try cluster.state
        let rest = try cluster.rest
        let paths = try await createEnvironments(rest)
        let wide = environments > 4 ? Set([environments - 2, environments - 1]) : []
        let population = try await CampaignPopulation.start(
            CampaignPopulation.Plan(
                watchers: watchers,
                environments: paths,
                balancer: rest.port,
                gateways: state.gateways.map(\.port),
                token: state.token,
                blindToken: try await Self.createBlindToken(rest),
                seed: seed,
                wide: wide,
                seededBug: seededBug
            ),
            on: loop
        )
        _ = try await eventually(within: .seconds(60), "a first state for everybody") {
            try await population.behind([:]).isEmpty ? true : nil
        }
        let target = CampaignWriter.Target(ports: [rest.port] + state.apis.map(\.port), token: state.token, environments: paths)
        let all = (0...writers).map { CampaignWriter($0, target, seed: seed) }
        let injector = FaultInjector(
            cluster: cluster,
            redis: backends.redis,
            proxy: backends.proxy,
            database: backends.database,
            population: population,
            flooder: all[writers],
            wide: wide.sorted(),
            seed: seed
        )
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for writer in all[..<writers] { tasks.addTask { try await writer.run(pace: pace) } }
            tasks.addTask {
                try await injector.run(for: time, breaksServers: breaksServers)
                for writer in all { writer.stop() }
            }
            try await tasks.waitForAll()
        }
        return try await judge(cluster, paths, backends, population, all, injector)
    }

    // MARK: After the last fault

    private func judge(
        _ cluster: Cluster,
        _ paths: [String],
        _ backends: CampaignBackends,
        _ population: CampaignPopulation,
        _ writers: [CampaignWriter],
        _ injector: FaultInjector
    ) async throws -> Report {
        let quiet = ContinuousClock.now
        var histories = try await backends.database.histories(paths)
        let goals = Self.goals(histories)
        do {
            _ = try await eventually(within: .seconds(120), every: .milliseconds(100), "every watcher at its end") {
                try await population.behind(goals).isEmpty ? true : nil
            }
        } catch {
            // The checker says who lacks what; this says how they stood.
            for line in try await population.behind(goals).prefix(20) { print("campaign: \(line)") }
        }
        var report = Report(seed: seed, quietAfter: .now - quiet, watchers: watchers)
        report.totals = try await population.totals()
        let logs = try await population.end()
        report.faults = injector.faults
        report.story = injector.story
        let writes = writers.flatMap(\.writes)
        report.writes = writes.count
        report.repeatedWrites = writers.map(\.repeats).reduce(0, +)
        report.revisions = histories.map(\.head).reduce(0, +)
        WriteLedger.fillSecrets(&histories, from: writes)
        report.findings = WriteLedger.check(writes, histories)
        for log in logs {
            let verdict = LogChecker.check(log, histories[log.environment])
            report.conflated += verdict.conflated
            if let finding = verdict.finding { report.findings.append(finding) }
        }
        report.surprises = report.totals.faults + (try await differences(cluster, histories)) + (try Self.crashes(cluster))
        print(report.summary)
        for finding in report.findings.prefix(10) { print("campaign: FINDING \(finding)") }
        for surprise in report.surprises.prefix(10) { print("campaign: SURPRISE \(surprise)") }
        if !report.findings.isEmpty || !report.surprises.isEmpty { for line in report.story { print("campaign: \(line)") } }
        return report
    }

    /// The last revision that each kind of watcher can see.
    static func goals(_ histories: [EnvironmentHistory]) -> [Int: [Visibility: Int]] {
        let eyes = ["", "K_1"].flatMap { prefix in [true, false].map { Visibility(prefix: prefix, showsSecrets: $0) } }
        return Dictionary(
            uniqueKeysWithValues: histories.enumerated().map { index, history in
                let last = eyes.map { eyes in (eyes, history.changes.last(where: eyes.shows)?.revision ?? 0) }
                return (index, Dictionary(uniqueKeysWithValues: last))
            }
        )
    }

    /// What REST says, against the table.
    private func differences(_ cluster: Cluster, _ histories: [EnvironmentHistory]) async throws -> [String] {
        struct Configuration: Decodable {
            let revision: Int
            let cursor: String
            let entries: [WatchMessage.Item]
        }
        var found: [String] = []
        for history in histories {
            let path = history.path.split(separator: "/")
            let resource = "/v1/projects/\(path[0])/\(path[1])/environments/\(path[2])/configuration"
            let rest = try cluster.rest
            let answer = try await eventually(within: .seconds(60), "an answer to GET \(resource)") { () -> PlainAnswer? in
                // The last fault may have been a moment ago.
                guard let answer = try? await rest.call("GET", resource), ![502, 503, 504].contains(answer.status) else { return nil }
                return answer
            }
            guard answer.status == 200 else {
                found.append("GET \(resource): \(answer.status) \(answer.text.prefix(200))")
                continue
            }
            let configuration = try JSONDecoder().decode(Configuration.self, from: Data(answer.body))
            let truth = Set(history.state(at: history.head).values.map(LoggedChange.init))
            let isRight =
                configuration.revision == history.head && configuration.cursor == history.cursor(at: history.head)
                && Set(configuration.entries.map(\.logged)) == truth && configuration.entries.count == truth.count
            if !isRight { found.append("GET \(resource) is not the state at \(history.head): revision \(configuration.revision)") }
        }
        return found
    }

    /// Ends that nobody wished: we only ever `kill -9`.
    private static func crashes(_ cluster: Cluster) throws -> [String] {
        try cluster.output.split(separator: "\n").filter { $0.contains("A process ended") && !$0.contains("signal 9") }.map(String.init)
    }

    // MARK: Before the first

    private func createEnvironments(_ rest: PlainHTTP) async throws -> [String] {
        var calls = [("/v1/workspaces", "acme"), ("/v1/workspaces/acme/projects", "web")]
        calls += (0..<environments).map { ("/v1/projects/acme/web/environments", "e\($0)") }
        for (path, slug) in calls {
            let answer = try await rest.call("POST", path, body: "{\"slug\":\"\(slug)\"}")
            guard answer.status == 201 else { throw DeadlinePassed("POST \(path): \(answer.status) \(answer.text)") }
        }
        return (0..<environments).map { "acme/web/e\($0)" }
    }

    static func createBlindToken(_ rest: PlainHTTP) async throws -> String {
        struct Token: Decodable { let token: String }
        let answer = try await rest.call("POST", "/v1/tokens", body: #"{"grants":[{"workspace":"acme","permissions":["read"]}]}"#)
        return try JSONDecoder().decode(Token.self, from: Data(answer.body)).token
    }
}

/// What a campaign's cluster stands on, each breakable.
struct CampaignBackends: Sendable {
    let database: PostgresDatabase
    let redis: RedisProcess
    let proxy: RedisProxy
}
