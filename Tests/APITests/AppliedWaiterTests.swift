// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Logging
import Notifier
import Reactor
import Store
import TestSupport
import Testing

/// Waiting for watchers, with a real Redis and a ledger written by hand.
@Suite(.serialized) struct AppliedWaiterTests {
    /// What the tests look at while somebody waits.
    private struct Desk: Sendable {
        let redis: RedisProcess
        let client: RedisClient
        let directory: WatcherDirectory
        let waiter: AppliedWaiter
        let environment = UUID()

        /// A gateway's record, which goes by itself after `expiry` milliseconds.
        func write(_ gateway: String = "g", expiry: Int = 60_000, _ fill: (inout WatcherTally) -> Void) async throws {
            var tally = WatcherTally()
            fill(&tally)
            let text = String(decoding: WatcherRecord(gateway: gateway, tally).encoded, as: UTF8.self)
            try await redis.command("ZADD", "keyvane:watchers", "1", gateway)
            try await redis.command("HSET", key(gateway), environment.lowercased, text)
            try await redis.command("PEXPIRE", key(gateway), "\(expiry)")
        }

        func key(_ gateway: String) -> String { "keyvane:watchers:\(gateway)" }

        func applied(_ revision: Int64, within timeout: Duration) async -> AppliedCounts? {
            await waiter.applied(revision: revision, environmentID: environment, timeout: timeout)
        }

        func stats() async throws -> String {
            let socket = try RawSocket(port: redis.port)
            socket.write(Array("INFO commandstats\r\nQUIT\r\n".utf8))
            return String(decoding: await socket.readToEnd(), as: UTF8.self)
        }

        /// How often Redis was asked for records.
        func looks() async throws -> Int {
            guard let match = try await stats().firstMatch(of: #/cmdstat_zrange:calls=(\d+)/#) else { return 0 }
            return Int(match.1) ?? 0
        }

        /// Returns when a waiter has looked a few times more and, as the caller then checks, has said nothing.
        func moreLooks() async throws {
            let before = try await looks()
            _ = try await eventually("more looks") { try await looks() >= before + 4 ? true : nil }
        }
    }

    private static func withDesk(_ body: @Sendable (Desk) async throws -> Void) async throws {
        try await withRedis { redis in
            try await LoopGroup.withLoops(count: 1) { loops in
                var configuration = NotifierConfiguration(endpoint: try RedisEndpoint(parsing: redis.url))
                // A busy test machine must not look like a Redis that is away.
                configuration.answerLimit = .seconds(10)
                let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
                let metrics = NotifierMetrics()
                let client = RedisClient(configuration, on: loops.loops[0], metrics: metrics, logger: logger)
                let directory = WatcherDirectory(client, cluster: "keyvane")
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    defer { tasks.cancelAll() }
                    tasks.addTask { await client.run() }
                    _ = try await eventually("Redis") { client.isConnected ? true : nil }
                    try await body(Desk(redis: redis, client: client, directory: directory, waiter: AppliedWaiter(directory)))
                }
            }
        }
    }

    @Test func withoutAcknowledgingWatchersItAnswersAtOnce() async throws {
        try await Self.withDesk { desk in
            // The timeout is the test's failure.
            let nobody = await desk.applied(58, within: .seconds(600))
            #expect(nobody == AppliedCounts(acknowledging: 0, applied: 0, failed: 0, pending: 0, silent: 0))
            try await desk.write { $0.add(silent: 3) }
            let silent = await desk.applied(58, within: .seconds(600))
            #expect(silent == AppliedCounts(acknowledging: 0, applied: 0, failed: 0, pending: 0, silent: 3))
            #expect(await desk.directory.watcherCount(environmentID: desk.environment) == 3)
            #expect(await desk.directory.watcherCount(environmentID: UUID()) == 0)
        }
    }

    @Test func whoIsWrittenRightAfterTheFirstLookIsCounted() async throws {
        try await Self.withDesk { desk in
            let counts = try await eventually("a record in time") { () async throws -> AppliedCounts? in
                try await desk.redis.command("DEL", desk.key("g"))
                let (start, before) = (ContinuousClock.now, try await desk.looks())
                async let answer = desk.applied(58, within: .seconds(600))
                _ = try await eventually(every: .milliseconds(1), "a look") { try await desk.looks() > before ? true : nil }
                try await desk.write { $0.add(applied: 58) }
                let isInTime = start.duration(to: .now) < .milliseconds(45)
                let counts = await answer
                // A machine that is too busy for this tries again.
                return isInTime ? counts : nil
            }
            #expect(counts == AppliedCounts(acknowledging: 1, applied: 1, failed: 0, pending: 0, silent: 0))
        }
    }

    @Test func whoHasNotHeardOfItYetIsWaitedFor() async throws {
        try await Self.withDesk { desk in
            // As both gateways stood before the mutation was announced.
            try await desk.write("one") { $0.add(applied: 57, watchers: 2) }
            try await desk.write("two") { tally in
                tally.add(applied: 57)
                tally.add(silent: 1)
            }
            let answered = Events<AppliedCounts?>()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { answered.emit(await desk.applied(58, within: .seconds(600))) }
                try await desk.moreLooks()
                #expect(answered.all.isEmpty)
                // Nothing of it is visible to one of them; another one acknowledges, and the last one still doesn't.
                try await desk.write("one") { tally in
                    tally.add(applied: 58)
                    tally.add(applied: 57)
                }
                try await desk.write("two") { tally in
                    tally.add(applied: 60)
                    tally.add(silent: 1)
                }
                try await desk.moreLooks()
                #expect(answered.all.isEmpty)
                try await desk.write("one") { tally in
                    tally.add(applied: 58)
                    tally.add(applied: 57, failedUpTo: 58)
                }
                let counts = try await answered.first("the answer")
                #expect(counts == AppliedCounts(acknowledging: 3, applied: 2, failed: 1, pending: 0, silent: 1))
                try await tasks.waitForAll()
            }
        }
    }

    @Test func anEarlierFailureIsNoAnswer() async throws {
        try await Self.withDesk { desk in
            try await desk.write { $0.add(applied: 56, failedUpTo: 57) }
            let counts = await desk.applied(58, within: .milliseconds(200))
            #expect(counts == AppliedCounts(acknowledging: 1, applied: 0, failed: 0, pending: 1, silent: 0))
        }
    }

    @Test func atTheTimeoutItTellsWhoIsPending() async throws {
        try await Self.withDesk { desk in
            try await desk.write { tally in
                tally.add(applied: 57, watchers: 3)
                tally.add(applied: 59)
            }
            let start = ContinuousClock.now
            let counts = await desk.applied(58, within: .milliseconds(300))
            #expect(start.duration(to: .now) >= .milliseconds(300))
            #expect(start.duration(to: .now) < .seconds(20))
            #expect(counts == AppliedCounts(acknowledging: 4, applied: 1, failed: 0, pending: 3, silent: 0))
            let none = await desk.applied(58, within: .zero)
            #expect(none?.pending == 3)
        }
    }

    @Test func aGatewayThatDiedIsNotWaitedForForEver() async throws {
        try await Self.withDesk { desk in
            try await desk.write("dead", expiry: 700) { $0.add(applied: 57) }
            try await desk.write("alive") { $0.add(applied: 58) }
            let counts = await desk.applied(58, within: .seconds(600))
            #expect(counts == AppliedCounts(acknowledging: 1, applied: 1, failed: 0, pending: 0, silent: 0))
        }
    }

    @Test func withoutRedisItAnswersNothingAtOnce() async throws {
        try await Self.withDesk { desk in
            try await desk.write { $0.add(applied: 57) }
            let answered = Events<AppliedCounts?>()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { answered.emit(await desk.applied(58, within: .seconds(600))) }
                try await desk.moreLooks()
                await desk.redis.kill()
                let meanwhile = try await answered.first("the answer")
                #expect(meanwhile == nil)
                try await tasks.waitForAll()
            }
            _ = try await eventually("the loss of Redis") { desk.client.isConnected ? nil : true }
            #expect(await desk.applied(58, within: .seconds(600)) == nil)
            #expect(await desk.directory.watcherCount(environmentID: desk.environment) == nil)
        }
    }

    @Test func aConnectionThatWasLostMeanwhileEndsTheWait() async throws {
        try await Self.withDesk { desk in
            try await desk.write { $0.add(applied: 57) }
            let answered = Events<AppliedCounts?>()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                // Many, one after the other: some of them look right before the connection goes, and next when it is there again.
                for _ in 0..<16 {
                    tasks.addTask { answered.emit(await desk.applied(58, within: .seconds(600))) }
                    try await desk.moreLooks()
                }
                try await desk.redis.command("CLIENT", "KILL", "TYPE", "normal")
                let answers = try await answered.until("all answers") { $0.count == 16 }
                #expect(answers.allSatisfy { $0 == nil })
                try await tasks.waitForAll()
            }
        }
    }

    @Test func anEmptyRedisThatCameBackIsNotBelieved() async throws {
        try await Self.withDesk { desk in
            try await desk.write { $0.add(applied: 57) }
            await desk.redis.kill()
            _ = try await eventually("the loss of Redis") { desk.client.isConnected ? nil : true }
            try await desk.redis.start()
            _ = try await eventually("Redis again") { desk.client.isConnected ? true : nil }
            let (soon, count) = (
                await desk.applied(58, within: .zero), await desk.directory.watcherCount(environmentID: desk.environment)
            )
            if !desk.directory.isComplete { #expect(soon == nil && count == nil) }
            let left = await withTaskGroup(of: AppliedCounts?.self) { tasks in
                tasks.addTask { await desk.applied(58, within: .seconds(600)) }
                tasks.cancelAll()
                return await tasks.next() ?? nil
            }
            if !desk.directory.isComplete { #expect(left == nil) }
            let answered = Events<AppliedCounts?>()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                // The gateway has not written yet: nobody is there, as it seems.
                tasks.addTask { answered.emit(await desk.applied(58, within: .seconds(600))) }
                let before = ContinuousClock.now
                _ = try await eventually("a look") { try await desk.stats().contains("cmdstat_zrange") ? true : nil }
                // On a machine that stood still for so long there is nothing to see.
                if before.duration(to: .now) < .seconds(2), !desk.directory.isComplete { #expect(answered.all.isEmpty) }
                try await desk.write { $0.add(applied: 58) }
                let counts = try await answered.first("the answer")
                #expect(counts == AppliedCounts(acknowledging: 1, applied: 1, failed: 0, pending: 0, silent: 0))
                try await tasks.waitForAll()
            }
        }
    }

    @Test func whoIsCancelledWaitsNoLonger() async throws {
        try await Self.withDesk { desk in
            try await desk.write { $0.add(applied: 57) }
            let answered = Events<AppliedCounts?>()
            await withTaskGroup(of: Void.self) { tasks in
                tasks.addTask { answered.emit(await desk.applied(58, within: .seconds(600))) }
                tasks.cancelAll()
            }
            #expect(answered.all.count == 1)
        }
    }
}
