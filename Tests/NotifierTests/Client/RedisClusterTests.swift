// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import TestSupport
import Testing
import Wire

@Suite("A Redis Cluster", .serialized)
struct RedisClusterTests {
    private static let key = "{test}:instances"

    @Test("is followed where its keys go: to another node, past a dead one, to a replica that took over", .timeLimit(.minutes(3)))
    func cluster() async throws {
        let log = CapturedLog()
        try await withCertificates { certificates in
            let user = RedisWorkout.acl("keyvane", password: "hunter2", cluster: "test")
            try await withRedisCluster(key: Self.key, user: user, certificates) { cluster in
                let owner = try await cluster.owner(of: Self.key)
                let others = cluster.nodes[0..<3].filter { $0.port != owner.port }
                // One node is enough to know, and it isn't the right one.
                let url = "rediss+cluster://keyvane:hunter2@127.0.0.1:\(others[0].port)?ca=\(certificates.authority)"
                try await RedisWorkout.run(try RedisWorkout.configuration(url), log: log) { workout in
                    try await workout.works(revision: 1)
                    try await Self.migrate(cluster, from: owner, to: others[0])
                    try await workout.works(revision: 2)
                    try await Self.migrate(cluster, from: others[0], to: owner)
                    try await workout.works(revision: 3)

                    await owner.process.kill()
                    // Any node publishes, also while our keys have no owner.
                    try await workout.publishes(revision: 4)
                    try await workout.works(revision: 5)
                    let successor = try await cluster.owner(of: Self.key)
                    #expect(successor.port == cluster.nodes[3].port)

                    // The only node of the URL, to which the subscriber has kept: it goes to one that it has heard of.
                    let connects = workout.connects
                    #expect(connects == 1)
                    await others[0].process.kill()
                    try await workout.resubscribes(from: connects)
                    try await workout.publishes(revision: 6)
                }
            }
        }
        #expect(!log.contents.contains("hunter"))
    }

    /// Moves the slot of our keys with what is in it, as resharding does.
    private static func migrate(_ cluster: RedisCluster, from old: RedisCluster.Node, to new: RedisCluster.Node) async throws {
        let slot = try await cluster.slot(of: key)
        let (oldID, newID) = (try await cluster.id(of: old), try await cluster.id(of: new))
        try await new.process.command("CLUSTER", "SETSLOT", slot, "IMPORTING", oldID)
        try await old.process.command("CLUSTER", "SETSLOT", slot, "MIGRATING", newID)
        while true {
            let keys = try await old.process.command("CLUSTER", "GETKEYSINSLOT", slot, "100").array ?? []
            guard !keys.isEmpty else { break }
            for key in keys.compactMap(\.string) {
                try await old.process.command("MIGRATE", "127.0.0.1", String(new.port), key, "0", "5000", "REPLACE")
            }
        }
        for node in [new, old] { try await node.process.command("CLUSTER", "SETSLOT", slot, "NODE", newID) }
        _ = try await eventually("the new owner everywhere") {
            try await cluster.owner(of: key).port == new.port ? true : nil
        }
    }

}
