// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import TestSupport
import Testing

/// `stickysession=_s|_s` of Apache's mod_proxy_balancer, with its `nofailover`, and our mode `route`.
@Suite struct RouteReferenceTests {
    private static let pools = [("web", "first"), ("web", "second"), ("web", "third")]

    private func withBoth(
        nofailover: Bool = false,
        _ body: @escaping @Sendable (BalancerFixture, _ ours: ReferenceProxy, _ reference: ReferenceProxy) async throws -> Void
    ) async throws {
        try await BalancerFixture.with(
            Self.pools,
            configure: { configuration in
                var sticky = StickyConfiguration(mode: .route, name: "_s", parameter: "_s")
                if nofailover { sticky.onDown = .fail }
                configuration.pools[0].sticky = sticky
                for index in Self.pools.indices { configuration.pools[0].servers[index].route = Self.pools[index].1 }
            }
        ) { fixture in
            try await fixture.withApache("stickysession=_s|_s nofailover=\(nofailover ? "On" : "Off")") { ours, reference in
                try await body(fixture, ours, reference)
            }
        }
    }

    /// Target and cookie of a request, and the server that both must choose.
    @Test func sessionsLeadToTheirRoutes() async throws {
        let cases: [(target: String, cookie: String?, server: String)] = [
            ("/", "_s=abc.first", "first"), ("/", "_s=abc.second", "second"), ("/", "a=1; _s=abc.third; b=2", "third"),
            ("/?_s=abc.second", nil, "second"), ("/x?a=1&_s=abc.third", nil, "third"), ("/x?_s=abc.third&a=1", nil, "third"),
            // The URL wins.
            ("/?_s=abc.first", "_s=abc.second", "first"),
            // What comes after the first dot is the route.
            ("/", "_s=.first", "first"),
        ]
        try await withBoth { _, ours, reference in
            for proxy in [ours, reference] {
                for (target, cookie, server) in cases {
                    // Twice: once by chance is no proof.
                    for _ in 0..<2 {
                        let answer = try await proxy.get(target, cookie: cookie)
                        #expect(answer.text == server, "\(proxy.name): \(target), \(cookie ?? "no cookie")")
                        #expect(answer.values("set-cookie").isEmpty)
                    }
                }
            }
        }
    }

    /// Unknown routes and sessions without one are balanced, over all servers.
    @Test(arguments: ["_s=abc.unknown", "_s=abc", "_s=", "other=abc.first", "_sx=abc.first"])
    func othersAreBalanced(_ cookie: String) async throws {
        try await withBoth(nofailover: true) { _, ours, reference in
            for proxy in [ours, reference] {
                var servers: Set<String> = []
                for _ in 0..<9 { servers.insert(try await proxy.get(cookie: cookie).text) }
                #expect(servers.count == 3, "\(proxy.name)")
            }
        }
    }

    @Test(arguments: [false, true])
    func aDeadMemberFailsOnlyWithNofailover(_ nofailover: Bool) async throws {
        try await withBoth(nofailover: nofailover) { fixture, ours, reference in
            try await fixture.backends[1].kill()
            for proxy in [ours, reference] {
                // The first of them may find out that it is dead.
                for _ in 0..<3 {
                    let answer = try await proxy.get(cookie: "_s=abc.second")
                    #expect(answer.status == (nofailover ? 503 : 200), "\(proxy.name)")
                    #expect(nofailover || answer.text != "second")
                }
                #expect(try await proxy.get(cookie: "_s=abc.third").text == "third", "\(proxy.name)")
            }
        }
    }
}
