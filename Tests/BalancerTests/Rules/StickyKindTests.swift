// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import Testing
import Wire

/// The kinds of stickiness beside our own cookie, by values.
@Suite struct StickyKindTests {
    private func head(_ target: String, cookie: String? = nil, fields: String = "") throws -> (RequestHead, [UInt8]) {
        let text = "GET \(target) HTTP/1.1\r\nHost: h\r\n" + (cookie.map { "Cookie: \($0)\r\n" } ?? "") + fields + "\r\n"
        let bytes = Array(text.utf8)
        var parser = RequestHeadParser()
        guard case .complete = try parser.parse(bytes.span) else { throw BalancerTestFault(text) }
        return (parser.head, bytes)
    }

    private func sign(
        _ sticky: StickyConfiguration,
        _ target: String,
        cookie: String? = nil,
        fields: String = "",
        address: String = "10.0.0.1"
    ) throws -> StickySign {
        var pool = PoolConfiguration(name: "web", servers: [])
        pool.sticky = sticky
        let servers = ["first", "second", "a.b", nil].enumerated().map { index, route in
            var server = ServerConfiguration(name: "web-\(index + 1)", address: Endpoint(host: "h", port: UInt16(index + 1)))
            server.route = route
            return server
        }
        let rule = try #require(StickyRule(pool, signer: StickySigner(.random(), pool: "web"), servers: servers))
        let (head, bytes) = try head(target, cookie: cookie, fields: fields)
        return rule.read(head, in: bytes.span, seconds: { 1000 }, address: { address })
    }

    @Test func routesAsModProxyBalancerReadsThem() throws {
        let sticky = StickyConfiguration(mode: .route, name: "_s", parameter: "_s")
        func sign(_ target: String, _ cookie: String? = nil) throws -> StickySign { try self.sign(sticky, target, cookie: cookie) }
        #expect(try sign("/") == .none)
        #expect(try sign("/", "_s=abc.first") == .member(0, nil))
        #expect(try sign("/", "x=1; _s=abc.second; y=2") == .member(1, nil))
        #expect(try sign("/", "_s=\"abc.second\"") == .member(1, nil))
        #expect(try sign("/?_s=abc.second&z=1") == .member(1, nil))
        #expect(try sign("/?z=1&_s=abc%2Esecond") == .member(1, nil))
        // The URL wins, even where it leads nowhere.
        #expect(try sign("/?_s=abc.first", "_s=abc.second") == .member(0, nil))
        #expect(try sign("/?_s=abc", "_s=abc.second") == .none)
        #expect(try sign("/?_s=abc.gone", "_s=abc.second") == .refused(.unknown))
        // The name as a whole: Apache finds `_s=` in `x_s=` too.
        #expect(try sign("/?x_s=abc.first", "x_s=abc.second") == .none)
        #expect(try sign("/?_sx=abc.first") == .none)
        // A path parameter, of any segment.
        #expect(try sign("/a;_s=abc.second/b") == .member(1, nil))
        #expect(try sign("/a;x=1;_s=abc.first;y=2?_s=abc.second") == .member(0, nil))
        #expect(try sign("/a;x_s=abc.first") == .none && sign("/a;_s") == .none && sign("/a;_s=") == .none)
        // Text after the first dot; ids and routes may have dots of their own.
        #expect(try sign("/", "_s=abc.a.b") == .member(2, nil))
        #expect(try sign("/", "_s=ab.c.d.first") == .member(0, nil))
        #expect(try sign("/", "_s=first") == .none && sign("/", "_s=abc.") == .none && sign("/", "_s=.first") == .member(0, nil))
        #expect(try sign("/", "_s=abc.FIRST") == .refused(.unknown))
        // Without a parameter the URL says nothing.
        let cookieOnly = StickyConfiguration(mode: .route, name: "_s")
        #expect(try self.sign(cookieOnly, "/;_s=a.first?_s=a.first", cookie: "_s=a.second") == .member(1, nil))
    }

    @Test func jsessionid() throws {
        let sticky = StickyConfiguration(mode: .route, name: "JSESSIONID", parameter: "jsessionid")
        #expect(try sign(sticky, "/app/page;jsessionid=0A1B.second?q=1") == .member(1, nil))
        #expect(try sign(sticky, "/app/page", cookie: "JSESSIONID=0A1B.first") == .member(0, nil))
    }

    @Test func serversOwnCookies() throws {
        let sticky = StickyConfiguration(mode: .passive, name: "SERVERID")
        #expect(try sign(sticky, "/", cookie: "SERVERID=web-2") == .member(1, nil))
        #expect(try sign(sticky, "/", cookie: "SERVERID=web-9") == .refused(.unknown))
        #expect(try sign(sticky, "/", cookie: "OTHER=web-2") == .none)
    }

    @Test func clientsByWhatTheyAreKnownBy() throws {
        let address = StickyConfiguration(mode: .ip, name: "")
        #expect(try sign(address, "/") == .key(StableHash.of("10.0.0.1")))
        #expect(try sign(address, "/", address: "2001:db8::1") == sign(address, "/", address: "2001:db8::ffff:1"))
        #expect(try sign(address, "/", address: "unknown") == .none)
        let header = StickyConfiguration(mode: .header, name: "X-User")
        #expect(try sign(header, "/", fields: "x-user: ann\r\n") == .key(StableHash.of("ann")))
        #expect(try sign(header, "/") == .none)
        let query = StickyConfiguration(mode: .query, name: "user")
        #expect(try sign(query, "/?user=ann%20b") == .key(StableHash.of("ann b")))
        #expect(try sign(query, "/?user=") == .none)
    }
}
