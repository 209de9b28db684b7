// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Notifier
import Reactor
import TestSupport
import Testing

@Suite("Publishing changes", .serialized)
struct ChangePublisherTests {
    private static func publisher(_ client: RedisClient, metrics: CountingMetrics = CountingMetrics()) -> ChangePublisher {
        ChangePublisher(client, authenticator: NotifierFixture.authenticator, metrics: NotifierMetrics(factory: metrics))
    }

    @Test("brings every change to every subscriber, once, in order, in few wake-ups")
    func order() async throws {
        try await withRedis { redis in
            let configuration = try NotifierFixture.configuration(redis.url)
            try await withClient(configuration) { client in
                let metrics = CountingMetrics()
                let publisher = Self.publisher(client, metrics: metrics)
                try await withSubscriber(configuration, on: client.loop) { first in
                    try await withSubscriber(configuration, on: client.loop) { second in
                        let changes = (1...3_000).map { NotifierFixture.change(Int64($0), value: "value \($0) \"é\"") }
                        for start in stride(from: 0, to: changes.count, by: 60) {
                            try await publisher.publish(Array(changes[start..<start + 60]))
                        }
                        #expect(try await first.messages(3_000) == changes)
                        #expect(try await second.messages(3_000) == changes)
                        #expect(first.all.count < 1_000)
                    }
                }
                #expect(metrics["notifier_published_total"] == 3_000)
                #expect(metrics["notifier_publish_failures_total"] == 0)
            }
        }
    }

    @Test("from many tasks loses nothing and doubles nothing")
    func concurrent() async throws {
        try await withRedis { redis in
            let configuration = try NotifierFixture.configuration(redis.url)
            try await withClient(configuration) { client in
                let publisher = Self.publisher(client)
                try await withSubscriber(configuration, on: client.loop) { batches in
                    try await withThrowingTaskGroup(of: Void.self) { tasks in
                        for revision in Int64(1)...400 {
                            tasks.addTask { try await publisher.publish([NotifierFixture.change(revision)]) }
                        }
                        try await tasks.waitForAll()
                    }
                    let revisions = try await batches.messages(400).map(\.revision)
                    #expect(revisions.sorted() == Array(1...400))
                }
            }
        }
    }

    @Test("sorts what waits in one turn by revision")
    func sorted() async throws {
        try await withRedis { redis in
            let configuration = try NotifierFixture.configuration(redis.url)
            try await withClient(configuration) { client in
                let publisher = Self.publisher(client)
                try await withSubscriber(configuration, on: client.loop) { batches in
                    // While the loop is held, callers queue up and are then taken in one turn. Nobody can see that the last of them has
                    // queued, so a round may split in two turns; twenty changes in order by chance are out of the question.
                    var isSorted = false
                    for round in Int64(1)...50 where !isSorted {
                        let gate = DispatchSemaphore(value: 0)
                        let entered = Events<Int64>()
                        client.loop.post { gate.wait() }
                        try await withThrowingTaskGroup(of: Void.self) { tasks in
                            for revision in (Int64(1)...20).reversed() {
                                tasks.addTask {
                                    entered.emit(revision)
                                    try await publisher.publish([NotifierFixture.change(revision)])
                                }
                            }
                            try await entered.until("all callers") { $0.count == 20 }
                            gate.signal()
                            try await tasks.waitForAll()
                        }
                        let revisions = try await batches.messages(20 * Int(round)).suffix(20).map(\.revision)
                        isSorted = revisions == Array(1...20)
                    }
                    #expect(isSorted)
                }
            }
        }
    }

    @Test("announces a large transaction by its bounds only")
    func bulk() async throws {
        try await withRedis { redis in
            let configuration = try NotifierFixture.configuration(redis.url)
            try await withClient(configuration) { client in
                let publisher = Self.publisher(client)
                try await withSubscriber(configuration, on: client.loop) { batches in
                    let many = (1...101).map { NotifierFixture.change(Int64($0), first: 1, last: 101) }
                    let just = (102...201).map { NotifierFixture.change(Int64($0), first: 102, last: 201) }
                    let heavy = (202...204).map {
                        NotifierFixture.change(Int64($0), value: String(repeating: "x", count: 90_000), first: 202, last: 204)
                    }
                    let other = NotifierFixture.change(1, environmentID: NotifierFixture.otherEnvironmentID)
                    try await publisher.publish(many + just + heavy + [other])
                    let messages = try await batches.messages(103)
                    // Sorted by revision in their turn, whatever the environment.
                    #expect(messages[0] == other)
                    let bulks = messages.filter { $0.operation == .bulk }
                    #expect(bulks.map(\.first) == [1, 202] && bulks.map(\.last) == [101, 204])
                    #expect(bulks.map(\.mark) == [many[100].mark, heavy[2].mark])
                    #expect(messages.filter { $0.operation == .set }.dropFirst().elementsEqual(just))
                }
            }
        }
    }

    @Test("fails while Redis is away, and a secret's sealed text is all that Redis sees")
    func away() async throws {
        try await withRedis { redis in
            let configuration = try NotifierFixture.configuration(redis.url)
            try await withClient(configuration) { client in
                let metrics = CountingMetrics()
                let publisher = Self.publisher(client, metrics: metrics)
                #expect(publisher.isConnected)
                await redis.kill()
                try await client.lost()
                let changes = [NotifierFixture.change(1), NotifierFixture.change(2)]
                let error = await #expect(throws: NotifierError.self) { try await publisher.publish(changes) }
                #expect(error?.code == .away)
                #expect(!publisher.isConnected)
                #expect(metrics["notifier_publish_failures_total"] == 2)
            }
        }
    }

    @Test("tells a refusal by Redis")
    func refused() async throws {
        try await withRedis { redis in
            try await redis.command("ACL", "SETUSER", "mute", "on", ">hunter2", "~*", "&*", "+@all", "-publish")
            let url = "redis://mute:hunter2@127.0.0.1:\(redis.port)"
            try await withClient(try NotifierFixture.configuration(url)) { client in
                let error = await #expect(throws: NotifierError.self) {
                    try await Self.publisher(client).publish([NotifierFixture.change(1)])
                }
                #expect(error?.code == .accessDenied)
            }
        }
    }
}
