// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Processes of every role that know each other through Redis alone, with PostgreSQL behind them.
// Flows through: one balancer that discovers; APIs and gateways, started and ended one by one by name; callers through the balancer.
// Owner: `DiscoveredCluster.with` lends all of it; what still runs at its end is killed.
// Must hold: an instance is told of PostgreSQL, Redis and the keys, and of nobody else; whoever calls sees only the balancer.

import Foundation
import Glibc
import Reactor
import TestSupport
import Testing

struct DiscoveredCluster: Sendable {
    let bench: ProcessBench
    let token: String
    /// The balancer's.
    let port: UInt16
    private let settings: [String: String]
    private let admin: UInt16

    var rest: PlainHTTP { PlainHTTP(port: port, token: token) }

    static func with(postgres: String, _ body: @Sendable (DiscoveredCluster) async throws -> Void) async throws {
        try await withRedis { redis in
            try await ProcessBench.with { bench in
                let token = "kv_root_\(UUID().uuidString)\(UUID().uuidString)"
                let settings = [
                    "KEYVANE_POSTGRES": postgres, "KEYVANE_REDIS": redis.url, "KEYVANE_ROOT_TOKEN": token,
                    "KEYVANE_MASTER_KEYS": "k1:\(Data(repeating: 7, count: 32).base64EncodedString())",
                ]
                #expect(try await DevProcess.run(["migrate"], environment: settings).exit == .code(0))
                let (port, admin) = (try freePort(), try freePort())
                let balancer = try await bench.start([
                    "balancer", "--listen", "127.0.0.1:\(port)", "--admin", "127.0.0.1:\(admin)", "--discover", redis.url,
                    "--access-log", "off",
                ])
                try await bench.until("/livez", port)
                try await body(DiscoveredCluster(bench: bench, token: token, port: port, settings: settings, admin: admin))
                try await bench.stop(balancer)
            }
        }
    }

    func start(_ role: String, _ name: String, port: UInt16? = nil) async throws -> DevProcess {
        let port = try port ?? freePort()
        let process = try await bench.start(
            [role, "--name", name, "--listen", "127.0.0.1:\(port)", "--advertise", "127.0.0.1:\(port)"],
            environment: settings
        )
        try await bench.until("/readyz", port)
        return process
    }

    /// `pool/name state` of every server that the balancer knows, and how many requests it got.
    func servers() async throws -> [String: Int] {
        struct Listing: Decodable {
            struct Item: Decodable {
                let pool, name, state: String
                let requests: Int
            }
            let items: [Item]
        }
        let answer = try await PlainHTTP(port: admin).call("GET", "/v1/servers")
        let items = try JSONDecoder().decode(Listing.self, from: Data(answer.body)).items
        return Dictionary(items.map { ("\($0.pool)/\($0.name) \($0.state)", $0.requests) }, uniquingKeysWith: +)
    }

    func untilServers(_ expected: Set<String>) async throws {
        _ = try await eventually(within: .seconds(40), "\(expected.sorted())") { () -> Bool? in
            Set(try await servers().keys) == expected ? true : nil
        }
    }

    /// In `acme/web`.
    func createEnvironments(_ slugs: [String]) async throws {
        let parents = [("workspaces", "acme"), ("workspaces/acme/projects", "web")]
        for (path, slug) in parents + slugs.map({ ("projects/acme/web/environments", $0) }) {
            #expect(try await rest.call("POST", "/v1/\(path)", body: "{\"slug\":\"\(slug)\"}").status == 201)
        }
    }
}
