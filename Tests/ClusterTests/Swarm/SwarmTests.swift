// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import Synchronization
import TestSupport
import Testing

extension ClusterSuite {
    /// Gateways that die, drain and restart under thousands of watchers. As many as
    /// the descriptors allow, 10,000 at most; `KEYVANE_SWARM` says otherwise.
    @Suite struct SwarmTests {
        private static let count: Int = {
            let wanted = ProcessInfo.processInfo.environment["KEYVANE_SWARM"].flatMap { Int($0) } ?? 10_000
            return min(wanted, raiseDescriptorLimit() - 1_000)
        }()

        /// Nothing may wait for a client's next heartbeat or for a sweep.
        @Test func theWatchersOfAKilledGatewayCatchUpOnTheOthers() async throws {
            try await withSwarm(of: Self.count, on: 0) { swarm in
                try await swarm.logStatements()
                let before = try await swarm.statements()
                let moment = try await swarm.loop.run { swarm.value.now }
                kill(try swarm.cluster.state.gateways[0].pid, SIGKILL)
                let target = try await swarm.cluster.put("A", "after the kill")
                try await swarm.all(within: .seconds(20), "everybody on another gateway") {
                    $0.live == Self.count && $0.reached(target) == Self.count
                }
                let delays = try await swarm.loop.run { swarm.value.delays(since: moment) }
                let after = try await swarm.statements()
                let (median, last) = (delays[delays.count / 2], delays[delays.count - 1])
                print(
                    """
                    swarm: \(Self.count) watchers of a killed gateway: half caught up after \(median) ms, all after \(last) ms; PostgreSQL was \
                    asked \(after.all - before.all) times, \(after.reads - before.reads) times for tokens, entries or changes
                    """
                )
                #expect(delays[0] > 0)
                #expect(try await swarm.loop.run { swarm.value.places[0] } == 0)
                // One read per environment, one per token, on each of two gateways; with the writer's own, whatever the number of watchers.
                #expect(after.reads - before.reads < 30)
            }
        }

        @Test func aDrainKeepsItsPaceAndLosesNothing() async throws {
            try await withSwarm(of: Self.count, on: 0) { swarm in
                let gateway = try swarm.cluster.state.gateways[0]
                try await swarm.loop.run { swarm.value.forgetMoments() }
                let begun = ContinuousClock.now
                kill(gateway.pid, SIGTERM)
                _ = try await eventually(within: .seconds(40), "the end of the drained gateway") { () -> Bool? in
                    kill(gateway.pid, 0) == 0 ? nil : true
                }
                let took = ContinuousClock.now - begun
                try await swarm.all(within: .seconds(20), "everybody on another gateway") { $0.live == Self.count }
                let moments = try await swarm.loop.run { swarm.value.moments }
                #expect(took < .seconds(30))
                #expect(moments.reasons == ["drain": Self.count])
                #expect(moments.ends == [1012: Self.count])
                #expect(try swarm.cluster.output.split(separator: "\n").contains { $0.contains("gateway-1") && $0.contains("exit code 0") })
                // The middle half, which no start and no end blurs.
                let times = moments.farewells
                let (first, last) = (times[times.count / 4], times[times.count * 3 / 4])
                let pace = Double(times.count * 3 / 4 - times.count / 4) / (Double(last - first) / 1_000)
                let promised = max(500, Double(Self.count) / 25)
                print("swarm: \(Self.count) watchers drained in \(took) at \(Int(pace.rounded())) a second, \(moments.refused) refused")
                #expect(abs(pace - promised) <= promised / 10)
            }
        }

        @Test func aRollingRestartLosesNothingAndReconnectsAtThePace() async throws {
            let count = 1_500
            try await withSwarm(of: count, on: nil) { swarm in
                let before = try swarm.cluster.state.gateways
                try await swarm.loop.run { swarm.value.forgetMoments() }
                for (index, gateway) in before.enumerated() {
                    kill(gateway.pid, SIGTERM)
                    _ = try await eventually(within: .seconds(60), "\(gateway.name) anew") { () -> Bool? in
                        guard let now = try? swarm.cluster.state.gateways[index], now.pid != gateway.pid else { return nil }
                        return (try? await PlainHTTP(port: now.port).call("GET", "/readyz"))?.status == 200 ? true : nil
                    }
                    try await swarm.all(within: .seconds(30), "everybody connected") { $0.live == count }
                }
                let moments = try await swarm.loop.run { swarm.value.moments }
                #expect(Set(moments.ends.keys) == [1012])
                #expect(Set(moments.reasons.keys) == ["drain"])
                let connects = moments.connects.sorted()
                #expect(connects.count >= count)
                // The busiest second.
                var (busiest, start) = (0, 0)
                for (end, time) in connects.enumerated() {
                    while time - connects[start] >= 1_000 { start += 1 }
                    busiest = max(busiest, end - start + 1)
                }
                print("swarm: rolling restart under \(count) watchers: \(connects.count) reconnects, at most \(busiest) in a second")
                #expect(busiest <= 600)
            }
        }
    }
}

/// A swarm on a cluster, and the way to both.
private struct SwarmHandle: Sendable {
    let cluster: Cluster
    let database: PostgresDatabase
    let bound: LoopBound<Swarm>

    var loop: Loop { bound.loop }
    /// On the loop.
    var value: Swarm { bound.value }

    func all(within limit: Duration, _ what: String, _ condition: @escaping @Sendable (Swarm) -> Bool) async throws {
        do {
            _ = try await eventually(within: limit, every: .milliseconds(50), what) { () -> Bool? in
                try await loop.run { condition(value) } ? true : nil
            }
        } catch {
            let state = try await loop.run {
                "\(value.live) live on \(value.places), \(value.moments.refused) refused, \(value.faults.prefix(1))"
            }
            throw DeadlinePassed("\(error): \(state)")
        }
    }

    /// From now on PostgreSQL logs what it is asked.
    func logStatements() async throws {
        try await database.sql("ALTER SYSTEM SET log_statement = 'all'")
        try await database.sql("SELECT pg_reload_conf()")
    }

    /// Statements logged so far: all, and those that name tokens, entries or the change log. Writers, relays and sweeps are among them.
    func statements() async throws -> (all: Int, reads: Int) {
        let rows = try await database.sql(
            """
            SELECT count(*), count(*) FILTER (WHERE statement ~ 'keyvane\\.(token|entry|change)\\M')
            FROM regexp_split_to_table(pg_read_file('\(database.server.host)/server.log'), 'LOG:  (execute|statement)') AS statement
            """
        )
        let counts = rows.first?.split(separator: "|").compactMap { Int($0) } ?? []
        guard counts.count == 2 else { throw DeadlinePassed("PostgreSQL's log: \(rows)") }
        return (counts[0], counts[1])
    }
}

/// Lends a swarm that has its first state while a writer goes on writing; then everybody must be at the last revision, without a fault.
private func withSwarm(of count: Int, on gateway: Int?, _ body: @escaping @Sendable (SwarmHandle) async throws -> Void) async throws {
    try await withPrivatePostgres { database in
        try await withCluster(["--gateways", "3", "--postgres", database.url]) { cluster in
            _ = try await cluster.createEnvironment()
            try await cluster.put("A", "first")
            let state = try cluster.state
            let token = try await createToken(cluster)
            try await LoopGroup.withLoops(count: 1, name: "swarm") { group in
                let loop = group.loops[0]
                let bound = try await loop.run {
                    LoopBound(
                        Swarm(count: count, gateways: state.gateways.map(\.port), on: gateway, token: token, loop: loop),
                        loop: loop
                    )
                }
                let swarm = SwarmHandle(cluster: cluster, database: database, bound: bound)
                let result = await Task { try await complete(swarm, count, body) }.result
                try await loop.run { bound.value.end() }
                try result.get()
            }
        }
    }
}

/// One that is looked up in PostgreSQL, which the root token is not.
private func createToken(_ cluster: Cluster) async throws -> String {
    struct Token: Decodable { let token: String }
    let body = #"{"grants":[{"workspace":"acme","permissions":["read","read_secrets"]}]}"#
    let answer = try await cluster.rest.call("POST", "/v1/tokens", body: body)
    return try JSONDecoder().decode(Token.self, from: Data(answer.body)).token
}

private func complete(_ swarm: SwarmHandle, _ count: Int, _ body: @escaping @Sendable (SwarmHandle) async throws -> Void) async throws {
    try await swarm.all(within: .seconds(60), "a first state for everybody") { $0.live == count }
    try await whileWriting(swarm.cluster, for: count) { try await body(swarm) }
    let last = try await swarm.cluster.put("A", "last")
    try await swarm.all(within: .seconds(30), "the last revision for everybody") { $0.reached(last) == count }
    let faults = try await swarm.loop.run { swarm.value.faults }
    #expect(faults.isEmpty, "\(faults.count) faults, such as \(faults.first ?? "")")
}

/// Changes beside `body`, so many that all watchers together get ten thousand a second: more would measure this process.
private func whileWriting(_ cluster: Cluster, for count: Int, _ body: @escaping @Sendable () async throws -> Void) async throws {
    let isDone = Events<Bool>()
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask {
            var number = 0
            while isDone.all.isEmpty {
                number += 1
                try await cluster.put("B", "\(number)")
                try await ContinuousClock().sleep(for: .milliseconds(count / 10))
            }
        }
        tasks.addTask {
            defer { isDone.emit(true) }
            try await body()
        }
        try await tasks.waitForAll()
    }
}

/// Every watcher is a descriptor of this process. Returns how many there may be.
private func raiseDescriptorLimit() -> Int {
    var limit = rlimit()
    let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(kind, &limit) == 0 else { return 1_024 }
    limit.rlim_cur = limit.rlim_max
    setrlimit(kind, &limit)
    return Int(clamping: limit.rlim_cur)
}
