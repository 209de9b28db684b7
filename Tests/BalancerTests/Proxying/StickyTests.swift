// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// The sticky cookie between client, balancer and servers.
@Suite struct StickyTests {
    private static let pools = [("api", "api-1"), ("api", "api-2"), ("api", "api-3")]
    private static let keys = "first:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

    private static func get(_ cookie: String? = nil) -> String {
        "GET / HTTP/1.1\r\nHost: a\r\n" + (cookie.map { "Cookie: \($0)\r\n" } ?? "") + "\r\n"
    }

    @Test func aClientComesBackToItsServer() async throws {
        try await BalancerFixture.with(Self.pools) { fixture in
            let client = try await fixture.client()
            let first = try await client.request(Self.get())
            let line = try #require(first.values("set-cookie").first)
            let token = try #require(first.cookie("KEYVANE_API"))
            #expect(line == "KEYVANE_API=\(token); Path=/; HttpOnly; SameSite=Lax")
            #expect(first.values("cache-control") == ["private"])
            #expect(!token.contains("api-") && token.utf8.count == 46)
            for _ in 0..<6 {
                let next = try await client.request(Self.get("KEYVANE_API=\(token)"))
                #expect(next.text == first.text)
                // Indirect: not sent again while valid, and then nothing is said of caching.
                #expect(next.values("set-cookie").isEmpty && next.values("cache-control").isEmpty)
            }
            let without = try await client.request(Self.get())
            #expect(without.text != first.text)
        }
    }

    @Test(arguments: [
        ("KEYVANE_API=TOKEN", nil), ("a=1; KEYVANE_API=TOKEN; b=2", "a=1; b=2"), ("KEYVANE_API=TOKEN; b=\"x y\"", "b=\"x y\""),
        ("a=1;KEYVANE_API=TOKEN", "a=1"), ("a=1; xKEYVANE_API=2; KEYVANE_API=TOKEN", "a=1; xKEYVANE_API=2"), ("a=1;  b= 2", "a=1;  b= 2"),
        ("KEYVANE_GATEWAY=z; a=1; KEYVANE_API=TOKEN", "a=1"),
    ])
    func serversNeverSeeTheCookie(_ sent: String, _ seen: String?) async throws {
        let pools = [("api", "api-1"), ("gateway", "gateway-1")]
        try await BalancerFixture.with(pools) { fixture in
            let client = try await fixture.client()
            let token = try #require(try await client.request(Self.get()).cookie("KEYVANE_API"))
            _ = try await client.request(Self.get(sent.replacing("TOKEN", with: token)))
            let requests = try await fixture.backends[0].requests.until { $0.count == 2 }
            #expect(requests[1].values("cookie") == (seen.map { [$0] } ?? []))
        }
    }

    @Test func twoBalancersWithOneKeyAgree() async throws {
        try await BalancerFixture.with(Self.pools, configure: { $0.stickyKeys = try StickyKeyRing(parsing: Self.keys) }) { one in
            var configuration = BalancerConfiguration(
                listeners: [Endpoint(host: "127.0.0.1", port: 0)],
                pools: [PoolConfiguration(name: "api", servers: [])]
            )
            configuration.admin = nil
            for backend in one.backends {
                configuration.pools[0].servers.append(ServerConfiguration(name: backend.name, address: try await backend.endpoint))
            }
            // Rotated: a new key signs, the old one still verifies; another order of the servers changes nothing.
            configuration.pools[0].servers.reverse()
            configuration.stickyKeys = try StickyKeyRing(parsing: "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=,\(Self.keys)")
            try await BalancerFixture.run(configuration, outer: one.outer, backends: one.backends) { [one] two in
                let (client, other) = (try await one.client(), try await two.client())
                for _ in 0..<4 {
                    let first = try await client.request(Self.get())
                    let token = try #require(first.cookie("KEYVANE_API"))
                    let second = try await other.request(Self.get("KEYVANE_API=\(token)"))
                    #expect(second.text == first.text && second.values("set-cookie").isEmpty)
                }
                let mine = try await other.request(Self.get())
                let token = try #require(mine.cookie("KEYVANE_API"))
                // The first balancer doesn't know the new key: to it the cookie is forged, and is replaced.
                #expect(try await client.request(Self.get("KEYVANE_API=\(token)")).cookie("KEYVANE_API") != nil)
            }
        }
    }

    @Test func pinsThatLeadNowhereAreReplaced() async throws {
        try await BalancerFixture.with(Self.pools) { fixture in
            let client = try await fixture.client()
            let first = try await client.request(Self.get())
            let token = try #require(first.cookie("KEYVANE_API"))
            for forged in ["x", "", String(token.dropLast()), token + "A", String(token.reversed()), "api-1"] {
                #expect(try await client.request(Self.get("KEYVANE_API=\(forged)")).cookie("KEYVANE_API") != nil)
            }
            // The pinned server is gone: the connect fails, another one serves, and the cookie names that one.
            let index = try #require(fixture.backends.firstIndex { $0.name == first.text })
            try await fixture.backends[index].kill()
            let moved = try await client.request(Self.get("KEYVANE_API=\(token)"))
            #expect(moved.status == 200 && moved.text != first.text)
            let replacement = try #require(moved.cookie("KEYVANE_API"))
            #expect(try await client.request(Self.get("KEYVANE_API=\(replacement)")).text == moved.text)
        }
    }

    @Test func stickinessCanBeOff() async throws {
        try await BalancerFixture.with(Self.pools, configure: { $0.pools[0].sticky = nil }) { fixture in
            let client = try await fixture.client()
            let answers = [try await client.request(Self.get()), try await client.request(Self.get())]
            #expect(answers.allSatisfy { $0.values("set-cookie").isEmpty } && answers[0].text != answers[1].text)
        }
    }
}
