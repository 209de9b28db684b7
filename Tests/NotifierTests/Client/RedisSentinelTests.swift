// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import Reactor
import TestSupport
import Testing
import Wire

@Suite("A Redis behind sentinels", .serialized)
struct RedisSentinelTests {
    @Test("goes on with the new master when the old one is killed, and when it stands still and comes back", .timeLimit(.minutes(3)))
    func failover() async throws {
        let log = CapturedLog()
        try await withSentinels { redis in
            try await RedisWorkout.run(try RedisWorkout.configuration(redis.url), log: log) { workout in
                let (first, second) = (redis.servers[0], redis.servers[1])
                try await workout.works(revision: 1)
                var connects = workout.connects
                await first.kill()
                try await workout.recovers(from: connects, revision: 2)
                #expect(workout.batches.flat.contains(.disconnected))
                try await Self.role(of: second, is: "master")

                // A sentinel less, and the old master is the replica now.
                await redis.sentinels[0].kill()
                try await first.start()
                // The sentinels would do it too, after a while; should they be quicker, they end this connection.
                _ = try? await first.command("REPLICAOF", "127.0.0.1", String(second.port))
                try await redis.agree()
                connects = workout.connects
                second.pause()
                try await workout.recovers(from: connects, revision: 3)
                try await Self.role(of: first, is: "master")

                // It still takes itself for the master for a while; nobody may follow it.
                connects = workout.connects
                second.resume()
                try await workout.publishes(revision: 4)
                try await Self.role(of: second, is: "slave")
                try await workout.works(revision: 5)
                #expect(workout.connects == connects)
            }
        }
        for secret in ["s3rver", "s3ntinel"] { #expect(!log.contents.contains(secret)) }
    }

    /// A sentinel that changes a role ends all connections, also the one on which a test asks for it.
    private static func role(of server: RedisProcess, is role: String) async throws {
        _ = try await eventually("the role \(role)") {
            (try? await server.command("ROLE"))?.array?.first?.string == role ? true : nil
        }
    }

    /// A Redis whose only sentinel watches over it under the name `main`.
    private static func withSentinel(
        of master: RedisProcess,
        arguments: [String] = [],
        _ body: (RedisProcess) async throws -> Void
    ) async throws {
        try await withRedis(sentinel: "sentinel monitor main 127.0.0.1 \(master.port) 1\n", arguments: arguments, body)
    }

    @Test("leaves a master that was replaced and keeps its connections")
    func replaced() async throws {
        try await withRedis { first in
            try await withRedis { second in
                try await Self.withSentinel(of: first) { sentinel in
                    let url = "redis+sentinel://127.0.0.1:1,127.0.0.1:\(sentinel.port)/main/2"
                    try await RedisWorkout.run(try RedisWorkout.configuration(url)) { workout in
                        try await workout.works(revision: 1)
                        #expect(try await first.command("PUBSUB", "NUMSUB", "change-notifier").array?.last?.integer == 1)
                        let connects = workout.connects
                        try await sentinel.command("SENTINEL", "REMOVE", "main")
                        // Nobody is told of a master now; one that was told stays.
                        try await workout.publishes(revision: 2)
                        #expect(workout.connects == connects)
                        try await sentinel.command("SENTINEL", "MONITOR", "main", "127.0.0.1", String(second.port), "1")
                        try await workout.recovers(from: connects, revision: 3)
                        #expect(try await second.command("PUBSUB", "NUMSUB", "change-notifier").array?.last?.integer == 1)
                        _ = try await eventually("the old master alone") {
                            try await first.command("PUBSUB", "NUMSUB", "change-notifier").array?.last?.integer == 0 ? true : nil
                        }
                    }
                }
            }
        }
    }

    @Test("is away until the server that is named says itself that it is a master")
    func replica() async throws {
        try await withRedis { master in
            try await withRedis(arguments: ["--replicaof", "127.0.0.1 \(master.port)"]) { replica in
                try await Self.withSentinel(of: replica) { sentinel in
                    let configuration = try RedisWorkout.configuration("redis+sentinel://127.0.0.1:\(sentinel.port)/main")
                    try await withClient(configuration, waits: false) { client in
                        _ = try await eventually("a refusal") { client.lastFailure?.message.contains("not a master") == true ? true : nil }
                        #expect(!client.isConnected)
                        try await replica.command("REPLICAOF", "NO", "ONE")
                        try await client.reached()
                    }
                    let unknown = try RedisWorkout.configuration("redis+sentinel://127.0.0.1:\(sentinel.port)/other")
                    try await withClient(unknown, waits: false) { client in
                        let failure = try await eventually("a failure") { client.lastFailure }
                        #expect(failure.code == .refused)
                        #expect(failure.message.contains("knows no master 'other'"))
                    }
                }
            }
        }
    }

    @Test("is reached over TLS, sentinels too")
    func secure() async throws {
        try await withCertificates { certificates in
            let (port, sentinelPort) = (try RedisProcess.freePort(), try RedisProcess.freePort())
            try await withRedis(arguments: certificates.redis(port: port)) { _ in
                let monitor = "sentinel monitor main 127.0.0.1 \(port) 1\n"
                let arguments = certificates.redis(port: sentinelPort) + ["--tls-replication", "yes"]
                try await withRedis(sentinel: monitor, arguments: arguments) { _ in
                    let url = "rediss+sentinel://127.0.0.1:\(sentinelPort)/main?ca=\(certificates.authority)"
                    try await RedisWorkout.run(try RedisWorkout.configuration(url)) { try await $0.works(revision: 1) }
                }
            }
        }
    }
}
