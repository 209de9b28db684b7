// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Notifier
import Reactor
import Synchronization
import TestSupport
import Testing
import Wire

@Suite("The ledger of watchers", .serialized)
struct WatcherLedgerTests {
    private static let environment = NotifierFixture.environmentID
    private static let other = NotifierFixture.otherEnvironmentID

    /// What a gateway's loops would say.
    private final class Gateway: Sendable {
        private struct State {
            var tallies: [String: WatcherTally] = [:]
            var changed: Set<String> = []
            var asked: [Bool] = []
            var askedAt: [ContinuousClock.Instant] = []
        }

        private let state = Mutex(State())

        var asked: [Bool] { state.withLock { $0.asked } }
        var askedAt: [ContinuousClock.Instant] { state.withLock { $0.askedAt } }

        func set(_ environment: String, silent: Int = 0, applied: Int64? = nil) {
            var tally = WatcherTally()
            tally.add(silent: silent)
            if let applied { tally.add(applied: applied) }
            state.withLock { state in
                state.tallies[environment] = tally.isEmpty ? nil : tally
                state.changed.insert(environment)
            }
        }

        func tallies(everything: Bool) -> [String: WatcherTally] {
            state.withLock { state in
                defer { state.changed = [] }
                state.asked.append(everything)
                state.askedAt.append(.now)
                var answer = everything ? state.tallies : [:]
                for id in state.changed { answer[id] = state.tallies[id] ?? WatcherTally() }
                return answer
            }
        }
    }

    private static func withWriter<Value>(
        _ client: RedisClient,
        _ gateway: Gateway,
        name: String = "gateway-1",
        log: CapturedLog = CapturedLog(),
        isolation: isolated (any Actor)? = #isolation,
        _ body: (WatcherLedgerWriter) async throws -> Value
    ) async throws -> Value {
        let writer = WatcherLedgerWriter(client, cluster: "test", gateway: name, logger: log.logger)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await writer.run { gateway.tallies(everything: $0) } }
            let value = try await body(writer)
            tasks.cancelAll()
            try await tasks.waitForAll()
            return value
        }
    }

    /// A writer whose connection goes before it can say goodbye.
    private static func withKilledWriter(
        _ url: String,
        _ gateway: Gateway,
        isolation: isolated (any Actor)? = #isolation,
        _ body: () async throws -> Void
    ) async throws {
        try await LoopGroup.withLoops(count: 1) { loops in
            let logger = CapturedLog().logger
            let metrics = NotifierMetrics(factory: NOOPMetricsHandler.instance)
            let client = RedisClient(try NotifierFixture.configuration(url), on: loops.loops[0], metrics: metrics, logger: logger)
            let writer = WatcherLedgerWriter(client, cluster: "test", gateway: "killed", logger: logger)
            try await withThrowingTaskGroup(of: Void.self) { writing in
                writing.addTask { await writer.run { gateway.tallies(everything: $0) } }
                try await withThrowingTaskGroup(of: Void.self) { running in
                    running.addTask { await client.run() }
                    try await body()
                    running.cancelAll()
                    try await running.waitForAll()
                }
                writing.cancelAll()
                try await writing.waitForAll()
            }
        }
    }

    private static func counted(
        _ client: RedisClient,
        _ what: String,
        of environment: String = environment,
        _ condition: @escaping @Sendable (WatcherCounts) -> Bool
    ) async throws {
        let directory = WatcherDirectory(client, cluster: "test")
        _ = try await eventually(every: .milliseconds(5), "counts with \(what)") {
            (try? await directory.watchers(of: environment)).flatMap { condition($0) ? true : nil }
        }
    }

    /// The keys with a record of the environment.
    private static func holders(_ redis: RedisProcess) async throws -> [String] {
        var holders: [String] = []
        for key in try await redis.command("KEYS", "test:watchers:*").array?.compactMap(\.string) ?? [] {
            if try await redis.command("HEXISTS", key, environment).integer == 1 { holders.append(key) }
        }
        return holders
    }

    /// How often Redis has carried a command out.
    private static func calls(_ name: String, _ redis: RedisProcess) async throws -> Int {
        let text = try await redis.command("INFO", "commandstats").string ?? ""
        return text.firstMatch(of: try Regex("cmdstat_\(name):calls=(\\d+)", as: (Substring, Substring).self)).flatMap { Int($0.1) } ?? 0
    }

    @Test("holds who is there, and nothing of who left")
    func holds() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                let (one, two) = (Gateway(), Gateway())
                one.set(Self.environment, silent: 2, applied: 57)
                two.set(Self.environment, applied: 59)
                two.set(Self.other, silent: 1)
                try await Self.withWriter(client, one, name: "one") { writer in
                    try await Self.withWriter(client, two, name: "two") { _ in
                        try await Self.counted(client, "both") { counts in
                            counts.gateways.map { "\($0.name)x\($0.watchers)" } == ["onex3", "twox1"]
                                && counts.byRevision.map(\.revision) == [59, 57]
                        }
                        try await Self.counted(client, "the other environment", of: Self.other) { $0.total == 1 }
                        #expect(try await WatcherDirectory(client, cluster: "else").watchers(of: Self.environment).total == 0)
                        one.set(Self.environment)
                        writer.changed()
                        try await Self.counted(client, "one less") { $0.gateways.map(\.name) == ["two"] }
                        // Its record went at once, not with time.
                        #expect(try await Self.holders(redis).count == 1)
                    }
                    try await Self.counted(client, "nobody") { $0.total == 0 }
                }
                #expect(try await redis.command("DBSIZE").integer == 0)
            }
        }
    }

    @Test("costs as little for many environments as for one while nothing changes")
    func idle() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                let gateway = Gateway()
                for number in 0..<10_000 { gateway.set("environment-\(number)", silent: 1) }
                try await Self.withWriter(client, gateway) { _ in
                    _ = try await eventually("all of them") {
                        let key = try await redis.command("KEYS", "test:watchers:*").array?.first?.string ?? ""
                        return try await redis.command("HLEN", key).integer == 10_001 ? true : nil
                    }
                    // Where a busy machine let them expire they are written again, and then this counts anew.
                    _ = try await eventually("two signs of life and nothing else") { () async throws -> Bool? in
                        guard try await Self.calls("zadd", redis) >= 2 else { return nil }
                        if try await Self.calls("hset", redis) <= 3 { return true }
                        try await redis.command("CONFIG", "RESETSTAT")
                        return nil
                    }
                }
            }
        }
    }

    @Test("is told changes at once, but never more than one write in 20 ms")
    func pace() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                let gateway = Gateway()
                try await Self.withWriter(client, gateway) { writer in
                    let start = ContinuousClock.now
                    for revision in 1...300 {
                        gateway.set(Self.environment, applied: Int64(revision))
                        gateway.set(Self.other, applied: Int64(revision))
                        writer.changed()
                        if revision % 50 == 0 {
                            try await Self.counted(client, "revision \(revision)") { $0.byRevision.map(\.revision) == [Int64(revision)] }
                        }
                    }
                    let taken = start.duration(to: .now)
                    // A renewal every two seconds is all that would come by itself.
                    #expect(taken < .seconds(6))
                    #expect(gateway.asked.count <= Int(taken / WatcherLedgerWriter.pace) + 2)
                }
            }
        }
    }

    @Test("renews what doesn't change, and forgets a gateway that was killed after six seconds")
    func expires() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { reader in
                let (alive, killed) = (Gateway(), Gateway())
                alive.set(Self.environment, silent: 1)
                killed.set(Self.environment, applied: 5)
                try await Self.withWriter(reader, alive, name: "alive") { _ in
                    try await Self.withKilledWriter(redis.url, killed) {
                        try await Self.counted(reader, "both") { $0.gateways.map(\.name) == ["alive", "killed"] }
                    }
                    #expect(try await WatcherDirectory(reader, cluster: "test").watchers(of: Self.environment).gateways.count == 2)
                    let start = ContinuousClock.now
                    try await Self.counted(reader, "the living one") { $0.gateways.map(\.name) == ["alive"] }
                    #expect(start.duration(to: .now) > .seconds(3))
                    let keys = try await Self.holders(redis)
                    #expect(keys.count == 1)
                    let left = try await redis.command("PTTL", keys.first ?? "").integer ?? 0
                    #expect(left > 3_000 && left <= 6_000)
                }
            }
        }
    }

    @Test("is written whole again after a flush or a restart, and nothing queues up meanwhile", arguments: [true, false])
    func refilled(flushes: Bool) async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                let gateway = Gateway()
                gateway.set(Self.environment, applied: 57)
                gateway.set(Self.other, silent: 1)
                try await Self.withWriter(client, gateway) { writer in
                    try await Self.counted(client, "the watcher") { $0.total == 1 }
                    if flushes {
                        try await redis.command("FLUSHALL")
                    } else {
                        await redis.kill()
                        try await client.lost()
                        let asked = gateway.asked.count
                        for _ in 0..<100 {
                            gateway.set(Self.environment, applied: 58)
                            writer.changed()
                        }
                        // What was under way when the connection went may have been the last question.
                        #expect(gateway.asked.count <= asked + 1)
                        try await redis.start()
                        try await Self.counted(client, "the newest state") { $0.byRevision.map(\.revision) == [58] }
                    }
                    try await Self.counted(client, "the watcher again") { $0.total == 1 }
                    try await Self.counted(client, "the unchanged environment", of: Self.other) { $0.total == 1 }
                }
            }
        }
    }

    @Test("tells for a while after Redis came back that it may not be whole")
    func completeness() async throws {
        try await withRedis { redis in
            let configuration = try NotifierFixture.configuration(redis.url)
            try await withClient(configuration) { client in
                let directory = WatcherDirectory(client, cluster: "test")
                let generation = directory.generation
                #expect(directory.isComplete)
                await redis.kill()
                try await client.lost()
                await #expect(throws: NotifierError.self) { try await directory.watchers(of: Self.environment) }
                try await redis.start()
                let start = ContinuousClock.now
                _ = try await eventually("the first answer") { try? await directory.watchers(of: Self.environment) }
                #expect(directory.generation == generation + 1)
                #expect(!directory.isComplete || start.duration(to: .now) > WatcherDirectory.refillTime)
                _ = try await eventually("a whole ledger") { directory.isComplete ? true : nil }
            }
        }
    }

    @Test("goes on after Redis refused a write, and says so once")
    func refused() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                let (gateway, log) = (Gateway(), CapturedLog())
                gateway.set(Self.environment, applied: 57)
                // Somebody else's key: neither is it written over, nor read as "nobody watches".
                try await redis.command("SET", "test:watchers", "mine")
                try await Self.withWriter(client, gateway, log: log) { writer in
                    _ = try await eventually("the warning") { log.contents.contains("watchers not written") ? true : nil }
                    // Whatever changes meanwhile, a Redis that refuses isn't sent everything at the usual pace.
                    let asked = try await eventually(every: .milliseconds(5), "two more attempts") {
                        writer.changed()
                        return gateway.askedAt.count >= 3 ? gateway.askedAt : nil
                    }
                    #expect(zip(asked, asked.dropFirst()).allSatisfy { $0.duration(to: $1) > .milliseconds(900) })
                    let directory = WatcherDirectory(client, cluster: "test")
                    await #expect(throws: NotifierError.self) { try await directory.watchers(of: Self.environment) }
                    try await redis.command("DEL", "test:watchers")
                    try await Self.counted(client, "the watcher") { $0.total == 1 }
                    #expect(log.contents.components(of: "watchers not written") == 1)
                }
            }
        }
    }

    @Test("keeps a successor's record when its predecessor leaves late")
    func successor() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                let (old, new) = (Gateway(), Gateway())
                old.set(Self.environment, applied: 1)
                new.set(Self.environment, applied: 2)
                let second = WatcherLedgerWriter(client, cluster: "test", gateway: "g", logger: CapturedLog().logger)
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    try await Self.withWriter(client, old, name: "g") { _ in
                        tasks.addTask { await second.run { new.tallies(everything: $0) } }
                        try await Self.counted(client, "both lives") { $0.acknowledging == 2 && $0.gateways.count == 1 }
                    }
                    let counts = try await WatcherDirectory(client, cluster: "test").watchers(of: Self.environment)
                    #expect(counts.byRevision.map(\.revision) == [2])
                    tasks.cancelAll()
                }
            }
        }
    }

    @Test("leaves out records that can't be read, and names that nobody renews")
    func unreadable() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                for (name, text) in [("a", "{}"), ("b", "garbage")] {
                    try await redis.command("ZADD", "test:watchers", "1", name)
                    try await redis.command("HSET", "test:watchers:\(name)", Self.environment, text)
                }
                #expect(try await WatcherDirectory(client, cluster: "test").watchers(of: Self.environment).total == 0)
                let gateway = Gateway()
                gateway.set(Self.environment, silent: 1)
                try await Self.withWriter(client, gateway) { _ in
                    try await Self.counted(client, "the living one") { $0.total == 1 }
                    #expect(try await redis.command("ZCARD", "test:watchers").integer == 1)
                }
            }
        }
    }

    @Test("is written in pieces where many environments are watched")
    func pieces() async throws {
        try await withRedis { redis in
            var configuration = try NotifierFixture.configuration(redis.url)
            // Less than everything together: only pieces get through.
            configuration.queueLimit = 512 * 1024
            try await withClient(configuration) { client in
                let gateway = Gateway()
                for number in 0..<5_000 { gateway.set("environment-\(number)", silent: 1, applied: Int64(number)) }
                try await Self.withWriter(client, gateway) { _ in
                    for number in [0, 2_500, 4_999] {
                        try await Self.counted(client, "environment \(number)", of: "environment-\(number)") { $0.total == 2 }
                    }
                }
                #expect(try await redis.command("DBSIZE").integer == 0)
            }
        }
    }
}

extension String {
    fileprivate func components(of text: String) -> Int {
        split(separator: text, omittingEmptySubsequences: false).count - 1
    }
}
