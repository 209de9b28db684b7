// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import TestSupport
import Testing

/// HAProxy's `roundrobin` with weights, and ours.
@Suite struct BalanceReferenceTests {
    private static let pools = [("web", "web-1"), ("web", "web-2"), ("web", "web-3")]

    @Test(arguments: [[1, 1, 1], [3, 2, 1], [10, 5, 1], [200, 1, 55]])
    func sharesFollowWeightsAlike(_ weights: [Int]) async throws {
        let total = weights.reduce(0, +)
        // Whole rounds, some thousand requests.
        let count = (2000 / total + 1) * total
        try await BalancerFixture.with(
            Self.pools,
            configure: { configuration in
                for (index, weight) in weights.enumerated() { configuration.pools[0].servers[index].weight = weight }
                configuration.pools[0].sticky = nil
            }
        ) { fixture in
            let options: @Sendable (String) -> String = { name in "weight \(weights[(Int(name.suffix(1)) ?? 1) - 1])" }
            try await fixture.withHAProxy("  balance roundrobin", server: options) { ours, reference in
                for proxy in [ours, reference] {
                    let client = try await proxy.client()
                    var shares: [String: Int] = [:]
                    for _ in 0..<count { shares[try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text, default: 0] += 1 }
                    client.close()
                    for (index, weight) in weights.enumerated() {
                        let share = Double(shares["web-\(index + 1)"] ?? 0) / Double(count)
                        #expect(abs(share - Double(weight) / Double(total)) < 0.01, "\(proxy.name): \(shares) for \(weights)")
                    }
                }
            }
        }
    }
}
