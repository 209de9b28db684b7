// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

extension ClusterSuite {
    /// One request through all roles: the same ids in the logs of each, and nothing in them that must not be there.
    @Suite struct TracingTests {
        private static let requestID = "order-17:a/b=c+d@e"
        private static let traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
        private static let ids = [
            ("X-Request-Id", requestID), ("traceparent", "00-\(traceID)-00f067aa0ba902b7-01"), ("tracestate", "vendor=opaque"),
        ]

        /// Lines of JSON whose fields are these.
        private static func lines(_ text: String, _ fields: [String: String]) -> [[String: String]] {
            text.split(separator: "\n").compactMap { line in
                let object = try? JSONSerialization.jsonObject(with: Data(line.utf8))
                guard let found = object as? [String: String], fields.allSatisfy({ found[$0] == $1 }) else { return nil }
                return found
            }
        }

        @Test func oneRequestHasTheSameIdsInEveryLog() async throws {
            let secret = "correct-horse-\(UUID().uuidString)"
            let environment = ["KEYVANE_LOG_LEVEL": "debug", "KEYVANE_LOG_FORMAT": "json"]
            try await withCluster(environment: environment) { cluster in
                _ = try await cluster.createEnvironment()
                let state = try cluster.state
                try await ProcessBench.with { bench in
                    // As behind another proxy, whose ids are believed. Its servers are the cluster's.
                    let port = try freePort()
                    func servers(_ instances: [Cluster.State.Instance]) -> String {
                        instances.map { "{ name: \($0.name), address: '\($0.address)' }" }.joined(separator: ", ")
                    }
                    try bench.write(
                        "listeners: ['127.0.0.1:\(port)']\nadmin: off\ntrusted_proxies: ['127.0.0.0/8']\n"
                            + "pools:\n  api: { servers: [\(servers(state.apis))] }\n  gateway: { servers: [\(servers(state.gateways))] }\n"
                    )
                    let balancer = try await bench.start(["balancer", "--config", bench.file], environment: environment)
                    try await bench.until("/livez", port)
                    let watch = try await open(port, state.token)
                    let rest = PlainHTTP(port: port, token: state.token)
                    let path = "\(Cluster.restPath)/secrets/API_KEY"
                    let answer = try await rest.call("PUT", path, body: "{\"value\":\"\(secret)\"}", fields: Self.ids)
                    #expect(answer.status == 201 && answer.fields["x-request-id"] == Self.requestID)
                    // One that the API refuses.
                    let refused = try await rest.call("GET", "\(Cluster.restPath)/secrets/NONE", fields: Self.ids)
                    #expect(refused.status == 404 && refused.fields["x-request-id"] == Self.requestID)
                    _ = try await eventually("the change at the watcher") { () -> Bool? in
                        String(decoding: watch.read(), as: UTF8.self).contains("API_KEY") ? true : nil
                    }
                    watch.reset()
                    try await follow(cluster, bench, path)
                    // The change's row and the subscription's, which a gateway writes a moment later.
                    _ = try await eventually("both rows of the audit") { () -> Bool? in
                        let audit = try await rest.call("GET", "/v1/workspaces/acme/audit?limit=20")
                        return audit.text.components(separatedBy: Self.requestID).count > 2 ? true : nil
                    }

                    let logged = bench.output + (try cluster.output).split(separator: "\n").filter { $0.hasPrefix("{") }.joined()
                    #expect(!logged.contains(state.token) && !logged.contains(secret))
                    for port in state.apis.map(\.port) + state.gateways.map(\.port) + [UInt16(URL(string: state.admin)?.port ?? 0)] {
                        let metrics = try await PlainHTTP(port: port).call("GET", "/metrics")
                        #expect(metrics.status == 200)
                        for text in [secret, state.token, Self.requestID, Self.traceID] { #expect(!metrics.text.contains(text)) }
                    }
                    try await bench.stop(balancer)
                }
            }
        }

        /// A watch over the balancer, its token in the query, with the ids in its handshake.
        private func open(_ port: UInt16, _ token: String) async throws -> RawSocket {
            let socket = try RawSocket(port: port)
            let ids = Self.ids.map { "\($0.0): \($0.1)\r\n" }.joined()
            socket.write(
                "GET /v1/watch?environment=\(Cluster.environmentPath)&access_token=\(token) HTTP/1.1\r\nHost: localhost\r\n\(ids)"
                    + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            let head = try await eventually("the upgrade") { () -> String? in
                let text = String(decoding: socket.read(), as: UTF8.self)
                return text.isEmpty ? nil : text
            }
            #expect(head.hasPrefix("HTTP/1.1 101 ") && head.contains("X-Request-Id: \(Self.requestID)\r\n"))
            return socket
        }

        /// From the balancer's line to the API's, by the ids; to the gateway's about the handshake by the ids, about the change by its
        /// environment and revision.
        private func follow(_ cluster: Cluster, _ bench: ProcessBench, _ path: String) async throws {
            let ids = ["request-id": Self.requestID, "trace-id": Self.traceID]
            let expected: [(String, [String: String])] = [
                ("request", ["logger": "balancer", "pool": "api", "method": "PUT", "path": path, "status": "201"]),
                ("request", ["logger": "balancer", "pool": "gateway", "method": "GET", "status": "101"]),
                ("request answered", ["logger": "api", "path": path, "status": "201", "revision": "1"]),
                ("request refused", ["logger": "api", "code": "not_found"]),
                ("watch opened", ["logger": "gateway", "transport": "webSocket"]),
            ]
            for (message, fields) in expected {
                let wanted = ids.merging(fields) { $1 }.merging(["message": message]) { $1 }
                _ = try await eventually("\(message) \(fields)") { () -> Bool? in
                    Self.lines(bench.output + (try cluster.output), wanted).isEmpty ? nil : true
                }
            }
            let change = ["message": "changes go to the watchers", "environment": Cluster.environmentPath, "revision": "1"]
            _ = try await eventually("the gateway's line about the change") { () -> Bool? in
                Self.lines(try cluster.output, change).isEmpty ? nil : true
            }
            let opened = try #require(Self.lines(try cluster.output, ids.merging(["message": "watch opened"]) { $1 }).first)
            let connection = try #require(opened["connection"])
            let instance = try #require(opened["instance"])
            for message in ["watch subscribed", "watch closed"] {
                _ = try await eventually(message) { () -> Bool? in
                    Self.lines(try cluster.output, ["message": message, "connection": connection, "instance": instance]).isEmpty
                        ? nil : true
                }
            }
        }
    }
}
