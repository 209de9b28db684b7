// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifier
import Synchronization
import TestSupport
import Testing
import Wire

@Suite("The registry of instances", .serialized)
struct InstanceRegistryTests {
    private static func record(_ role: InstanceRecord.Role, _ name: String, state: InstanceRecord.State = .starting) -> InstanceRecord {
        InstanceRecord(
            role: role,
            name: name,
            address: "127.0.0.1:8080",
            state: state,
            version: "0.1.0",
            startedAt: Date(timeIntervalSince1970: 1_795_000_000)
        )
    }

    private static func withRegistry<Value>(
        _ client: RedisClient,
        _ record: InstanceRecord,
        connections: @escaping @Sendable () -> Int = { 0 },
        isolation: isolated (any Actor)? = #isolation,
        _ body: (InstanceRegistry) async throws -> Value
    ) async throws -> Value {
        let log = CapturedLog()
        let registry = InstanceRegistry(client, cluster: "test", instance: record, connections: connections, logger: log.logger)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await registry.run() }
            let value = try await body(registry)
            tasks.cancelAll()
            try await tasks.waitForAll()
            return value
        }
    }

    private static func listed(
        _ client: RedisClient,
        _ what: String,
        _ condition: @escaping @Sendable ([InstanceRecord]) -> Bool
    ) async throws {
        let directory = InstanceDirectory(client, cluster: "test")
        _ = try await eventually("the list with \(what)") {
            (try? await directory.instances()).flatMap { condition($0) ? true : nil }
        }
    }

    @Test("lists who is there, in order, and no more who left")
    func lists() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                #expect(try await InstanceDirectory(client, cluster: "test").instances() == [])
                try await Self.withRegistry(client, Self.record(.gateway, "gateway-1")) { _ in
                    try await Self.withRegistry(client, Self.record(.api, "api-1"), connections: { 42 }) { _ in
                        var api = Self.record(.api, "api-1")
                        api.connections = 42
                        let expected = [api, Self.record(.gateway, "gateway-1")]
                        try await Self.listed(client, "both") { $0 == expected }
                        #expect(try await InstanceDirectory(client, cluster: "other").instances() == [])
                    }
                    try await Self.listed(client, "the gateway alone") { $0.map(\.name) == ["gateway-1"] }
                }
                try await Self.listed(client, "nobody") { $0.isEmpty }
                #expect(try await redis.command("DBSIZE").integer == 0)
            }
        }
    }

    @Test("is told a change of state at once")
    func state() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                try await Self.withRegistry(client, Self.record(.gateway, "g")) { registry in
                    for state in [InstanceRecord.State.ready, .draining, .ready, .draining] {
                        let start = ContinuousClock().now
                        registry.update(state: state)
                        try await Self.listed(client, "\(state)") { $0.first?.state == state }
                        // A heartbeat would take up to two seconds.
                        #expect(start.duration(to: ContinuousClock().now) < .seconds(1.5))
                    }
                }
            }
        }
    }

    @Test("stays draining when its start ends late")
    func lateStart() async throws {
        // SIGTERM came while PostgreSQL was away; then it came back, and the start went on to its end.
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                try await Self.withRegistry(client, Self.record(.api, "a")) { registry in
                    registry.update(state: .starting)
                    registry.started()
                    try await Self.listed(client, "ready") { $0.first?.state == .ready }
                    registry.update(state: .draining)
                    registry.started()
                    try await Self.listed(client, "draining") { $0.first?.state == .draining }
                }
            }
        }
    }

    @Test("forgets an instance that can't say goodbye after six seconds")
    func expires() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                try await Self.withRegistry(client, Self.record(.api, "dead")) { _ in
                    try await Self.listed(client, "the instance") { $0.count == 1 }
                    let left = try await redis.command("PTTL", "test:instances:api:dead").integer ?? 0
                    #expect(left > 3_000 && left <= 6_000)
                }
            }
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                // What a killed process leaves behind: a record without heartbeats, and its name in the index.
                try await redis.command("SET", "test:instances:api:dead", "{}", "PX", "200")
                try await redis.command("ZADD", "test:instances", "1", "api:dead")
                try await Self.listed(client, "nobody") { $0.isEmpty }
                // Its name goes with the next heartbeat of anybody.
                try await Self.withRegistry(client, Self.record(.api, "alive")) { _ in
                    try await Self.listed(client, "the other") { $0.map(\.name) == ["alive"] }
                    #expect(try await redis.command("ZCARD", "test:instances").integer == 1)
                }
            }
        }
    }

    @Test("is filled again after a flush or a restart", arguments: [true, false])
    func refilled(flushes: Bool) async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                try await Self.withRegistry(client, Self.record(.api, "api-1", state: .ready)) { _ in
                    try await Self.listed(client, "the instance") { $0.count == 1 }
                    if flushes {
                        try await redis.command("FLUSHALL")
                    } else {
                        await redis.kill()
                        try await redis.start()
                    }
                    try await Self.listed(client, "the instance again") { $0.count == 1 }
                }
            }
        }
    }

    @Test("keeps a successor's record when its predecessor leaves late")
    func successor() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                var successor = Self.record(.gateway, "g", state: .ready)
                successor.address = "127.0.0.1:9090"
                let late = successor
                let encoder = JSONEncoder()
                encoder.dateEncodingStrategy = .iso8601
                let text = String(decoding: try encoder.encode(late), as: UTF8.self)
                try await Self.withRegistry(client, Self.record(.gateway, "g")) { _ in
                    try await Self.listed(client, "the predecessor") { $0.first?.address == "127.0.0.1:8080" }
                    // Right between two heartbeats of the predecessor.
                    try await redis.command("SET", "test:instances:gateway:g", text)
                }
                #expect(try await InstanceDirectory(client, cluster: "test").instances() == [late])
            }
        }
    }

    @Test("leaves out records that can't be read")
    func unreadable() async throws {
        try await withRedis { redis in
            try await withClient(try NotifierFixture.configuration(redis.url)) { client in
                for (name, text) in [("a", "{}"), ("b", "garbage"), ("c", #"{"role":"chef"}"#)] {
                    try await redis.command("SET", "test:instances:api:\(name)", text)
                    try await redis.command("ZADD", "test:instances", "9999999999999", "api:\(name)")
                }
                #expect(try await InstanceDirectory(client, cluster: "test").instances() == [])
            }
        }
    }
}
