// Keyvane
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

extension ClusterSuite {
    /// The gateway's rules of RFC 6455, with the balancer in between: a tunnel changes nothing.
    @Suite struct ConformanceTests {
        @Test func everyRuleHoldsThroughTheBalancer() async throws {
            try await withCluster { cluster in
                let before = try cluster.state
                let port = try cluster.rest.port
                let endpoint = WebSocketRule.Endpoint(port: port, token: before.token)
                var breaches: [String] = []
                for rule in WebSocketRule.all {
                    if let breach = try await rule.breach(at: endpoint) { breaches.append("\(rule.name) (\(rule.section)): \(breach)") }
                }
                #expect(WebSocketRule.all.count > 150)
                #expect(breaches == [])
                // A POST that asks for an upgrade is refused by the balancer itself, with a status of its own.
                for rule in HandshakeRule.all where rule.name != "POST" {
                    let breach = try await rule.breach(port: port)
                    #expect(breach == nil, "\(rule.name) (\(rule.section))")
                }
                // And nobody fell over.
                let after = try cluster.state
                #expect(after.gateways.map(\.pid) == before.gateways.map(\.pid))
                #expect(after.balancer.pid == before.balancer.pid)
            }
        }
    }
}
