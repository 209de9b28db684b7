// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// Header rules of pools, presets, and what a sticky cookie does to caching.
@Suite struct HeaderRuleTests {
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test func rulesOfRequests() async throws {
        let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
            var changes = HeaderRules.Changes()
            changes.remove = ["x-drop", "AUTHORIZATION"]
            changes.set = [.init("X-Edge", "a"), .init("User-Agent", "edge")]
            changes.add = [.init("X-Edge", "b"), .init("Accept", "x/y")]
            configuration.pools[0].headers.request = changes
        }
        try await BalancerFixture.with(configure: configure) { fixture in
            let client = try await fixture.client()
            _ = try await client.request(
                "GET / HTTP/1.1\r\nHost: a\r\nX-Drop: 1\r\nx-edge: theirs\r\nAuthorization: Bearer x\r\nX-DROP: 2\r\nUser-Agent: c\r\n"
                    + "Accept: */*\r\nX-Dropped: stays\r\n\r\n"
            )
            let request = try await fixture.backends[0].requests.first()
            #expect(request.values("x-drop").isEmpty && request.values("authorization").isEmpty)
            #expect(request.values("x-edge") == ["a", "b"] && request.values("user-agent") == ["edge"])
            #expect(request.values("accept") == ["*/*", "x/y"] && request.values("x-dropped") == ["stays"])
            #expect(request.values("x-forwarded-for") == ["127.0.0.1"])
        }
    }

    @Test func rulesOfResponses() async throws {
        let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
            configuration.securityHeaders = .modern
            configuration.pools[0].headers.response.remove = ["Server", "X-XSS-Protection"]
            configuration.pools[0].headers.response.set = [.init("X-Frame-Options", "SAMEORIGIN"), .init("X-A", "1")]
            configuration.pools[0].headers.response.add = [.init("Link", "</b>")]
        }
        let answer = BackendAction.ok(fields: "Server: nginx/1.22\r\nX-a: theirs\r\nLink: </a>\r\nReferrer-Policy: no-referrer\r\n")
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            request.target == "/early" ? .send("HTTP/1.1 103 Early\r\nX-A: 0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n") : answer
        }
        try await BalancerFixture.with(configure: configure, script: script) { fixture in
            let client = try await fixture.client()
            let response = try await client.request(Self.get)
            #expect(response.values("server").isEmpty && response.values("x-a") == ["1"])
            #expect(response.values("link") == ["</a>", "</b>"])
            #expect(response.values("x-frame-options") == ["SAMEORIGIN"] && response.values("x-content-type-options") == ["nosniff"])
            // What a rule removes no preset brings back, and a server's own word stands.
            #expect(response.values("x-xss-protection").isEmpty && response.values("referrer-policy") == ["no-referrer"])
            let interim = try await client.request("GET /early HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(interim.status == 103 && interim.values("x-a") == ["0"] && interim.fields.count == 1)
            #expect(try await client.response().values("x-a") == ["1"])
            // Answers of our own have the preset, and tell nothing of us.
            let own = try await client.request("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(own.values("x-frame-options") == ["DENY"] && own.values("x-xss-protection") == ["0"] && own.values("server").isEmpty)
            let refused = try await client.request("GET / HTTP/1.1\r\n\r\n")
            #expect(refused.status == 400 && refused.values("x-content-type-options") == ["nosniff"] && refused.values("server").isEmpty)
        }
    }

    @Test func theServerFieldIsTheServers() async throws {
        let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { $0.securityHeaders = .classic }
        try await BalancerFixture.with(configure: configure, script: { _, _ in .ok(fields: "Server: mine\r\n") }) { fixture in
            let response = try await fixture.client().request(Self.get)
            #expect(response.values("server") == ["mine"] && response.values("via").isEmpty)
            #expect(response.values("x-xss-protection") == ["1; mode=block"] && response.values("x-frame-options") == ["DENY"])
        }
    }

    @Test func aTunnelsAnswerFollowsTheRules() async throws {
        let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
            configuration.pools[0].headers.response.set = [.init("X-Edge", "1")]
        }
        try await BalancerFixture.with(configure: configure, script: { _, _ in .tunnel(greeting: "hi") }) { fixture in
            let client = try await fixture.client()
            client.send(WebSocketHandshake.request(target: "/", host: "a", key: WebSocketHandshake.key((1, 2))))
            let answer = try await client.response()
            #expect(answer.status == 101 && answer.values("x-edge") == ["1"])
            #expect(try await client.bytes(2) == Array("hi".utf8))
        }
    }

    /// A cookie that names one client's server must not be given to others by a shared cache.
    @Test(arguments: [
        ("", ["private"]), ("Cache-Control: private\r\n", ["private"]), ("Cache-Control: max-age=5, No-Store\r\n", ["max-age=5, No-Store"]),
        ("Cache-Control: public, max-age=60\r\n", ["private, max-age=60"]),
        ("Cache-Control: public\r\nX-B: 1\r\nCache-Control: s-maxage=9, must-revalidate\r\n", ["private, must-revalidate"]),
        ("Cache-Control: private=\"set-cookie, x\", max-age=1\r\n", ["private, max-age=1"]),
        ("Cache-Control: no-cache\r\nSurrogate-Control: max-age=9\r\nCDN-Cache-Control: max-age=9\r\n", ["private, no-cache"]),
    ])
    func aCookieKeepsSharedCachesAway(_ fields: String, _ expected: [String]) async throws {
        try await BalancerFixture.with(script: { _, _ in .ok(fields: fields) }) { fixture in
            let client = try await fixture.client()
            let first = try await client.request(Self.get)
            let cookie = try #require(first.cookie("KEYVANE_WEB"))
            #expect(first.values("cache-control") == expected)
            #expect(first.values("surrogate-control").isEmpty && first.values("cdn-cache-control").isEmpty)
            let second = try await client.request("GET / HTTP/1.1\r\nHost: a\r\nCookie: KEYVANE_WEB=\(cookie)\r\n\r\n")
            let theirs = fields.split(separator: "\r\n").filter { $0.hasPrefix("Cache-Control: ") }.map { String($0.dropFirst(15)) }
            #expect(second.values("cache-control") == theirs && second.values("set-cookie").isEmpty)
        }
    }

    @Test func aRuleForCachesStands() async throws {
        let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
            configuration.pools[0].headers.response.set = [.init("Cache-Control", "no-store")]
        }
        try await BalancerFixture.with(configure: configure, script: { _, _ in .ok(fields: "Cache-Control: public\r\n") }) { fixture in
            let response = try await fixture.client().request(Self.get)
            #expect(response.values("cache-control") == ["no-store"] && response.cookie("KEYVANE_WEB") != nil)
        }
    }

    @Test(arguments: [
        ("Content-Length", "1"), ("connection", "close"), ("Transfer_Encoding", "chunked"), ("X-Forwarded-For", "6.6.6.6"), ("Host", "b"),
        ("bad name", "x"), ("X-A", "a\r\nb"), ("", "x"),
    ])
    func rulesThatAreRefused(_ name: String, _ value: String) {
        var pool = PoolConfiguration(name: "web", servers: [])
        pool.headers.request.set = [.init(name, value)]
        #expect(throws: BalancerError.self) { try pool.validate() }
        pool.headers.request.set = [.init("X-Fine", "x")]
        #expect(throws: Never.self) { try pool.validate() }
    }
}
