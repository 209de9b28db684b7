// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Wire

/// Runs `body` with a Redis Cluster of three masters and a replica of the one that owns `key`, over TLS and with a user of its ACL; ends it
/// however the body returns.
package func withRedisCluster<Value>(
    key: String,
    user: [String],
    _ certificates: TestCertificates,
    isolation: isolated (any Actor)? = #isolation,
    _ body: (RedisCluster) async throws -> Value
) async throws -> Value {
    let folder = try TemporaryFolder("kv-cluster")
    defer { folder.remove() }
    let cluster = try RedisCluster(folder: folder.path, user: user, certificates)
    do {
        try await cluster.start(key: key)
        let value = try await body(cluster)
        await cluster.end()
        return value
    } catch {
        await cluster.end()
        throw error
    }
}

/// Four nodes. Commands by hand go to their plain ports, clients to the TLS ports.
package final class RedisCluster: Sendable {
    package struct Node: Sendable {
        package let process: RedisProcess
        package let port: UInt16
        fileprivate let busPort: UInt16
    }

    package let nodes: [Node]

    fileprivate init(folder: String, user: [String], _ certificates: TestCertificates) throws {
        nodes = try (0..<4).map { index in
            let (port, busPort) = (try RedisProcess.freePort(), try RedisProcess.freePort())
            let arguments =
                certificates.redis(port: port) + [
                    "--cluster-enabled", "yes", "--cluster-config-file", "\(folder)/nodes-\(index).conf", "--cluster-node-timeout", "3000",
                    "--cluster-port", String(busPort), "--tls-cluster", "yes", "--tls-replication", "yes", "--user",
                ] + user
            return Node(process: try RedisProcess(password: nil, arguments: arguments), port: port, busPort: busPort)
        }
    }

    fileprivate func start(key: String) async throws {
        for node in nodes { try await node.process.start() }
        for (node, slots) in zip(nodes, [("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
            try await node.process.command("CLUSTER", "ADDSLOTSRANGE", slots.0, slots.1)
        }
        for node in nodes[1...] {
            try await nodes[0].process.command("CLUSTER", "MEET", "127.0.0.1", String(node.port), String(node.busPort))
        }
        try await healed(count: 4)
        let owner = try await id(of: self.owner(of: key))
        _ = try await eventually("a replica that knows its master") { [nodes] in
            try await nodes[3].process.command("CLUSTER", "REPLICATE", owner) == .simple("OK") ? true : nil
        }
        _ = try await eventually("a replica in step") { [nodes] in
            try await nodes[3].process.command("INFO", "replication").string?.contains("master_link_status:up") == true ? true : nil
        }
    }

    /// Returns when all living nodes find all slots covered.
    package func healed(count: Int) async throws {
        for node in nodes where node.process.pid != nil {
            _ = try await eventually("a whole cluster") {
                let text = try await node.process.command("CLUSTER", "INFO").string ?? ""
                return text.contains("cluster_state:ok") && text.contains("cluster_known_nodes:\(count)") ? true : nil
            }
        }
    }

    package func id(of node: Node) async throws -> String {
        try await node.process.command("CLUSTER", "MYID").string ?? ""
    }

    package func slot(of key: String) async throws -> String {
        String(try await nodes[0].process.command("CLUSTER", "KEYSLOT", key).integer ?? 0)
    }

    /// The master that answers for `key`; the replica at the start is the last node.
    package func owner(of key: String) async throws -> Node {
        for node in nodes where node.process.pid != nil {
            if case .integer = try await node.process.command("EXISTS", key) { return node }
        }
        throw DeadlinePassed("an owner of \(key)")
    }

    fileprivate func end() async {
        for node in nodes { await node.process.kill() }
    }
}
