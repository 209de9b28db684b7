// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// Stickiness of other kinds than our own cookie, between clients and servers.
@Suite struct SessionTests {
    private static let pools = [("web", "web-1"), ("web", "web-2"), ("web", "web-3")]

    private func with(
        _ sticky: StickyConfiguration,
        onDown: StickyConfiguration.OnDown = .rebalance,
        _ body: @Sendable (BalancerFixture) async throws -> Void
    ) async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = { configuration in
            BalancerFixture.quick(&configuration)
            configuration.trustedProxies = (try? [AddressRange(parsing: "127.0.0.1")]) ?? []
            configuration.pools[0].sticky = sticky
            configuration.pools[0].sticky?.onDown = onDown
            for (index, route) in ["first", "second", "third"].enumerated() { configuration.pools[0].servers[index].route = route }
        }
        try await BalancerFixture.with(Self.pools, loops: 2, configure: configure, script: BalancerFixture.byName, body)
    }

    private let route = StickyConfiguration(mode: .route, name: "_s", parameter: "_s")

    @Test func sessionsWithARoute() async throws {
        try await with(route) { (fixture: BalancerFixture) async throws in
            #expect(try await fixture.answers(4, to: BalancerFixture.get(cookie: "_s=abc.second")) == ["web-2": 4])
            #expect(try await fixture.answers(4, to: BalancerFixture.get("/x?_s=abc.third", cookie: "_s=abc.second")) == ["web-3": 4])
            #expect(try await fixture.answers(6, to: BalancerFixture.get(cookie: "_s=abc.gone")).count == 3)
            // Its cookie is the servers': they see it, and nothing is added to their answers.
            let client = try await fixture.client()
            let answer = try await client.request(BalancerFixture.get(cookie: "_s=abc.first"))
            #expect(answer.values("set-cookie").isEmpty)
            #expect(fixture.backends[0].requests.all.last?.value("cookie") == "_s=abc.first")
            // Down: another one serves, and is told the same session.
            fixture.backends[1].become(.down)
            try await fixture.untilServer("web-2", is: "down")
            #expect(try await Set(fixture.answers(6, to: BalancerFixture.get(cookie: "_s=abc.second")).keys) == ["web-1", "web-3"])
            // A route may change while it runs.
            try await fixture.service.perform(.route(nil), pool: "web", server: "web-2")
            try await fixture.service.perform(.route("second"), pool: "web", server: "web-3")
            _ = try await eventually("the new route") {
                try await fixture.answers(4, to: BalancerFixture.get(cookie: "_s=abc.second")) == ["web-3": 4] ? true : nil
            }
        }
    }

    @Test func noFailover() async throws {
        try await with(route, onDown: .fail) { (fixture: BalancerFixture) async throws in
            let session = BalancerFixture.get(cookie: "_s=abc.second")
            #expect(try await fixture.answers(2, to: session) == ["web-2": 2])
            // Dead, and the checks don't know it yet: no other server is tried.
            try await fixture.backends[1].kill()
            let answers = try await fixture.answers(3, to: session)
            #expect(answers["web-1"] == nil && answers["web-3"] == nil, "\(answers)")
            try await fixture.untilServer("web-2", is: "down")
            let client = try await fixture.client()
            let answer = try await client.request(session)
            #expect(answer.status == 503 && answer.text.contains("server_down") && answer.value("retry-after") == "1")
            // An unknown route and none at all are balanced.
            #expect(try await Set(fixture.answers(6, to: BalancerFixture.get(cookie: "_s=abc.gone")).keys) == ["web-1", "web-3"])
            #expect(try await Set(fixture.answers(6).keys) == ["web-1", "web-3"])
            try await fixture.backends[1].start()
            try await fixture.untilServer("web-2", is: "up")
            #expect(try await fixture.answers(2, to: session) == ["web-2": 2])
        }
    }

    @Test func noFailoverOfOurOwnCookie() async throws {
        try await with(StickyConfiguration(pool: "web"), onDown: .fail) { (fixture: BalancerFixture) async throws in
            let cookie = try await fixture.pin(to: "web-1")
            fixture.backends[0].become(.down)
            try await fixture.untilServer("web-1", is: "down")
            #expect(try await fixture.answers(2, to: BalancerFixture.get(cookie: cookie)) == ["503": 2])
            #expect(try await fixture.answers(4).count == 2)
            // Draining isn't down: who goes away by itself hands its clients on.
            fixture.backends[0].become(.draining)
            try await fixture.untilServer("web-1", is: "draining")
            #expect(try await fixture.answers(2, to: BalancerFixture.get(cookie: cookie))["503"] == nil)
        }
    }

    @Test func serversOwnCookies() async throws {
        try await with(StickyConfiguration(mode: .passive, name: "SERVERID")) { (fixture: BalancerFixture) async throws in
            #expect(try await fixture.answers(4, to: BalancerFixture.get(cookie: "SERVERID=web-2")) == ["web-2": 4])
            #expect(try await fixture.answers(6, to: BalancerFixture.get(cookie: "SERVERID=web-9")).count == 3)
            #expect(fixture.backends[1].requests.all[0].value("cookie") == "SERVERID=web-2")
        }
    }

    @Test func addressesFieldsAndParameters() async throws {
        try await with(StickyConfiguration(mode: .ip, name: "")) { (fixture: BalancerFixture) async throws in
            #expect(try await fixture.answers(6).count == 1)
            // The client's address is what the trusted proxy says.
            var owners: Set<String> = []
            for number in 0..<20 {
                let request = BalancerFixture.get(fields: "X-Forwarded-For: 10.0.0.\(number)\r\n")
                let answers = try await fixture.answers(2, to: request)
                #expect(answers.count == 1)
                owners.formUnion(answers.keys)
            }
            #expect(owners.count == 3)
        }
        try await with(StickyConfiguration(mode: .header, name: "X-User")) { (fixture: BalancerFixture) async throws in
            for user in ["ann", "ben", "cat"] {
                #expect(try await fixture.answers(4, to: BalancerFixture.get(fields: "x-user: \(user)\r\n")).count == 1)
            }
            #expect(try await fixture.answers(6).count == 3)
        }
        try await with(StickyConfiguration(mode: .query, name: "user"), onDown: .fail) { (fixture: BalancerFixture) async throws in
            let request = BalancerFixture.get("/?user=ann")
            let owner = try #require(try await fixture.answers(2, to: request).keys.first)
            let index = try #require(fixture.backends.firstIndex { $0.name == owner })
            fixture.backends[index].become(.down)
            try await fixture.untilServer(owner, is: "down")
            #expect(try await fixture.answers(2, to: request) == ["503": 2])
        }
    }
}
