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

@Suite(.serialized) struct AnnouncementTests {
    private static let path = TestAPI.path + "/configuration"

    @Test func aCommitIsPublishedAndItsOutboxRowRemoved() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url) { api in
                let environment = try await api.seed()
                _ = try await eventually("redis") { api.redis.isConnected ? true : nil }
                try await withSubscriber(redis) { messages in
                    let body = #"{"set":[{"name":"A","value":"10.0.0.9"},{"name":"S","value":"hunter2","isSecret":true}]}"#
                    #expect(try await api.root.call("PATCH", Self.path, body: body).status == 200)
                    let seen = try await messages.until("two messages") { $0.count == 2 }
                    #expect(seen.map(\.environmentID) == [environment.id.lowercased, environment.id.lowercased])
                    #expect(seen.map(\.name) == ["A", "S"])
                    #expect(seen.map(\.revision) == [1, 2])
                    #expect(seen.map(\.first) == [1, 1])
                    #expect(seen.map(\.last) == [2, 2])
                    #expect(seen[0].value == "10.0.0.9")
                    #expect(seen[1].value?.hasPrefix("sealed:v1:") == true)
                }
                _ = try await eventually("an empty outbox") {
                    try await api.store.pendingAnnouncements(olderThan: .zero, limit: 10).isEmpty ? true : nil
                }
            }
        }
    }

    @Test func withoutRedisWritesSucceedAndStayInTheOutbox() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            for value in 1...3 {
                let answer = try await api.root.call("PUT", TestAPI.path + "/variables/A", body: "{\"value\":\"\(value)\"}")
                #expect(answer.status == (value == 1 ? 201 : 200))
            }
            let pending = try await StoredOutbox(api.store).pending(olderThan: .zero, limit: 10)
            #expect(pending.map(\.environmentID) == Array(repeating: environment.id.lowercased, count: 3))
            #expect(pending.map(\.first) == [1, 2, 3])
        }
    }

    @Test func theRelayPublishesWhatWasLeftBehind() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url) { api in
                let environment = try await api.seed()
                _ = try await eventually("redis") { api.redis.isConnected ? true : nil }
                let outbox = StoredOutbox(api.store)
                // As an API commits that is killed before it publishes.
                let change = EntryChange(name: "A", op: .set("1"))
                _ = try await api.store.mutate(Mutation(environmentID: environment.id, changes: [change], actor: "root"))
                let pending = try await outbox.pending(olderThan: .zero, limit: 10)
                #expect(pending.count == 1)
                let messages = try await outbox.changes(of: try #require(pending.first))
                #expect(messages.map(\.value) == ["1"])
                try await outbox.remove(pending)
                #expect(try await outbox.pending(olderThan: .zero, limit: 10).isEmpty)
            }
        }
    }

    /// Rings that come from the change channel, as the composition root passes them on.
    @Test func theChangeChannelWakesLongPolls() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url, configure: { $0.longPollCheckWithoutChannel = .seconds(50) }) { api in
                let environment = try await api.seed()
                async let polled = api.root.call("GET", TestAPI.path + "/changes?wait=40")
                _ = try await eventually("a waiting long poll") {
                    try await api.http(nil).call("GET", "/metrics").text.contains("api_long_polls 1") ? true : nil
                }
                let change = EntryChange(name: "A", op: .set("1"))
                let outcome = try await api.store.mutate(Mutation(environmentID: environment.id, changes: [change], actor: "root"))
                api.service.received([.connected, .message(ChangeMessage(outcome.changes[0]))])
                #expect(try await polled["items"]?.texts("name") == ["A"])
            }
        }
    }

    @Test func instancesAreListed() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url) { api in
                _ = try await eventually("redis") { api.redis.isConnected ? true : nil }
                #expect(try await api.root.call("GET", "/v1/instances").text == #"{"items":[]}"#)
            }
        }
    }

    @Test func aRevocationIsPublished() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url) { api in
                _ = try await eventually("redis") { api.redis.isConnected ? true : nil }
                let token = try await api.store.createToken(description: "", grants: [.root], expiresAt: nil, createdBy: "root").record
                let controls = Events<ControlMessage>()
                try await withSubscriber(redis, controls) { _ in
                    let answer = try await api.root.call("DELETE", "/v1/tokens/\(token.id)")
                    #expect(answer.status == 204)
                    #expect(try await controls.first() == .tokenRevoked(tokenID: token.id, sequence: 1))
                }
            }
        }
    }

    private func withSubscriber(
        _ redis: RedisProcess,
        _ controls: Events<ControlMessage> = Events(),
        _ body: (Events<ChangeMessage>) async throws -> Void
    ) async throws {
        let configuration = NotifierConfiguration(endpoint: try RedisEndpoint(parsing: redis.url))
        let messages = Events<ChangeMessage>()
        let connected = Events<Bool>()
        try await LoopGroup.withLoops(count: 1) { loops in
            let loop = loops.next()
            let subscriber = try await loop.run {
                let subscriber = ChangeSubscriber(
                    configuration,
                    authenticator: MessageAuthenticator(key: Array("key of the tests".utf8)),
                    on: loop,
                    metrics: NotifierMetrics(),
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
                ) { events in
                    for event in events {
                        switch event {
                        case .connected: connected.emit(true)
                        case .message(let message): messages.emit(message)
                        case .control(let message, isTrusted: true): controls.emit(message)
                        case .disconnected, .untrusted, .control: break
                        }
                    }
                }
                subscriber.start()
                return LoopBound(subscriber, loop: loop)
            }
            _ = try await connected.first()
            try await body(messages)
            try await loop.run { subscriber.value.stop() }
        }
    }
}
