// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import TestSupport
import Testing

@Suite("The outbox relay", .serialized)
struct OutboxRelayTests {
    private static func withRelay<Value>(
        _ outbox: FakeOutbox,
        _ client: RedisClient,
        metrics: CountingMetrics = CountingMetrics(),
        log: CapturedLog = CapturedLog(),
        isolation: isolated (any Actor)? = #isolation,
        _ body: () async throws -> Value
    ) async throws -> Value {
        let shared = NotifierMetrics(factory: metrics)
        let publisher = ChangePublisher(client, authenticator: NotifierFixture.authenticator, metrics: shared)
        let relay = OutboxRelay(source: outbox, publisher: publisher, metrics: shared, logger: log.logger)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await relay.run() }
            let value = try await body()
            tasks.cancelAll()
            try await tasks.waitForAll()
            return value
        }
    }

    @Test("publishes what a dead publisher left, in order, and removes it")
    func leftBehind() async throws {
        try await withRedis { redis in
            let configuration = try NotifierFixture.configuration(redis.url)
            let metrics = CountingMetrics()
            try await withClient(configuration) { client in
                try await withSubscriber(configuration, on: client.loop) { batches in
                    let outbox = FakeOutbox()
                    await outbox.commit(first: 1, last: 1)
                    await outbox.commit(first: 2, last: 4)
                    try await Self.withRelay(outbox, client, metrics: metrics) {
                        #expect(try await batches.messages(4).map(\.revision) == [1, 2, 3, 4])
                        try await outbox.drained()
                        // Rows that come later are found by polling.
                        await outbox.commit(first: 5, last: 5)
                        #expect(try await batches.messages(5).last?.revision == 5)
                        try await outbox.drained()
                    }
                    #expect(metrics["notifier_relayed_total"] == 3)
                    #expect(await outbox.lost == [])
                }
            }
        }
    }

    @Test("leaves everything where it is while Redis is away, and publishes once it is back")
    func away() async throws {
        try await withRedis { redis in
            let configuration = try NotifierFixture.configuration(redis.url)
            try await withClient(configuration) { client in
                let outbox = FakeOutbox()
                await redis.kill()
                try await client.lost()
                try await Self.withRelay(outbox, client) {
                    await outbox.commit(first: 1, last: 1)
                    await outbox.commit(first: 2, last: 5)
                    // Meanwhile they don't pile up.
                    _ = try await eventually("a collapse") { await outbox.collapses > 0 ? true : nil }
                    let (polls, rows) = await (outbox.polls, outbox.rows)
                    #expect(polls == 0)
                    #expect(rows == [OutboxAnnouncement(environmentID: NotifierFixture.environmentID, first: 1, last: 5)])
                    try await redis.start()
                    try await outbox.drained()
                }
                #expect(await outbox.lost == [])
            }
        }
    }

    @Test("announces many transactions of one environment by their head alone")
    func collapses() async throws {
        try await withRedis { redis in
            let configuration = try NotifierFixture.configuration(redis.url)
            try await withClient(configuration) { client in
                try await withSubscriber(configuration, on: client.loop) { batches in
                    let outbox = FakeOutbox()
                    for revision in Int64(1)...1_000 { await outbox.commit(first: revision, last: revision) }
                    await outbox.commit(first: 1, last: 2, environmentID: NotifierFixture.otherEnvironmentID)
                    try await Self.withRelay(outbox, client) { try await outbox.drained() }
                    let messages = try await batches.messages(6)
                    let own = messages.filter { $0.environmentID == NotifierFixture.environmentID }
                    #expect(own.map(\.operation) == Array(repeating: .bulk, count: 4))
                    #expect(own.map(\.first) == [1, 257, 513, 769] && own.map(\.last) == [256, 512, 768, 1_000])
                    #expect(messages.filter { $0.environmentID != NotifierFixture.environmentID }.map(\.revision) == [1, 2])
                    #expect(await outbox.reads < 20)
                }
            }
        }
    }

    @Test("survives a database that fails, at any call, and loses nothing")
    func failingDatabase() async throws {
        try await withRedis { redis in
            let configuration = try NotifierFixture.configuration(redis.url)
            let log = CapturedLog()
            try await withClient(configuration) { client in
                try await withSubscriber(configuration, on: client.loop) { batches in
                    let outbox = FakeOutbox(failingCalls: [1, 2, 4, 6, 9])
                    await outbox.commit(first: 1, last: 2)
                    await outbox.commit(first: 3, last: 3)
                    try await Self.withRelay(outbox, client, log: log) { try await outbox.drained() }
                    let revisions = try await batches.messages(3).map(\.revision)
                    #expect(Set(revisions) == [1, 2, 3])
                    #expect(log.contents.contains("outbox not relayed"))
                }
            }
        }
    }

    @Test("removes the rows of an environment that is gone")
    func goneEnvironment() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                let outbox = FakeOutbox()
                await outbox.commit(first: 1, last: 1, environmentID: FakeOutbox.goneEnvironmentID)
                await outbox.commit(first: 1, last: 500, environmentID: FakeOutbox.goneEnvironmentID)
                try await Self.withRelay(outbox, client) { try await outbox.drained() }
            }
        }
    }

    @Test("keeps the order of environments, and few transactions as they are")
    func collapsing() {
        func announcement(_ environmentID: String, _ revision: Int64) -> OutboxAnnouncement {
            OutboxAnnouncement(environmentID: environmentID, first: revision, last: revision)
        }
        let few = (1...8).flatMap { [announcement("a", $0), announcement("b", $0)] }
        let kept = OutboxRelay.groups(few)
        #expect(kept.map(\.range) == few)
        #expect(kept.flatMap(\.rows) == few)

        let groups = OutboxRelay.groups(few + [announcement("b", 12), announcement("c", 1)])
        let all = OutboxAnnouncement(environmentID: "b", first: 1, last: 12)
        let others = (2...8).map { announcement("a", $0) } + [announcement("c", 1)]
        #expect(groups.map(\.range) == [announcement("a", 1), all] + others)
        // Each row is to be removed as it was given.
        #expect(groups[1].rows == (1...8).map { announcement("b", $0) } + [announcement("b", 12)])
        #expect(OutboxRelay.groups([]).isEmpty)
    }
}

/// An outbox in memory, whose calls fail where a test says so.
private actor FakeOutbox: OutboxSource {
    static let goneEnvironmentID = "eeeeeeee-0000-4000-8000-00000000000b"

    struct Failure: Error {}

    private(set) var rows: [OutboxAnnouncement] = []
    private var announced: Set<OutboxAnnouncement> = []
    private let failingCalls: Set<Int>
    private var calls = 0
    private(set) var polls = 0
    private(set) var reads = 0
    private(set) var collapses = 0
    /// Rows removed before their content was asked for.
    private(set) var lost: [OutboxAnnouncement] = []

    init(failingCalls: Set<Int> = []) {
        self.failingCalls = failingCalls
    }

    func commit(first: Int64, last: Int64, environmentID: String = NotifierFixture.environmentID) {
        rows.append(OutboxAnnouncement(environmentID: environmentID, first: first, last: last))
    }

    nonisolated func drained() async throws {
        _ = try await eventually("an empty outbox") { await self.rows.isEmpty ? true : nil }
    }

    private func called() throws {
        calls += 1
        if failingCalls.contains(calls) { throw Failure() }
    }

    func pending(olderThan age: Duration, limit: Int) throws -> [OutboxAnnouncement] {
        polls += 1
        try called()
        return Array(rows.prefix(limit))
    }

    func changes(of announcement: OutboxAnnouncement) throws -> [ChangeMessage] {
        reads += 1
        try called()
        announced.formUnion(rows.filter { $0.environmentID == announcement.environmentID && $0.last <= announcement.last })
        guard announcement.environmentID != Self.goneEnvironmentID else { return [] }
        return (announcement.first...announcement.last).map { revision in
            let row = rows.first { $0.environmentID == announcement.environmentID && $0.first <= revision && revision <= $0.last }
            return NotifierFixture.change(revision, environmentID: announcement.environmentID, first: row?.first, last: row?.last)
        }
    }

    func remove(_ announcements: [OutboxAnnouncement]) throws {
        try called()
        lost += announcements.filter { !announced.contains($0) }
        rows.removeAll { announcements.contains($0) }
    }

    func collapse() throws {
        collapses += 1
        let all = Dictionary(grouping: rows, by: \.environmentID)
        rows = all.map { id, rows in
            OutboxAnnouncement(environmentID: id, first: rows.map(\.first).min() ?? 0, last: rows.map(\.last).max() ?? 0)
        }
    }
}
