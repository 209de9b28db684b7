// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import Testing

/// Every key with a value that is understood, and what it means.
@Suite struct ConfigurationValueTests {
    private func parse(_ text: String) throws -> BalancerConfiguration {
        try ConfigurationFile.parse(text, path: "/tmp/balancer.yaml")
    }

    private func pool(_ text: String) throws -> PoolConfiguration {
        try parse(ConfigurationFolder.least(pool: text)).pools[0]
    }

    @Test func balances() throws {
        let table: [(String, BalanceConfiguration)] = [
            ("roundrobin", .roundRobin), ("leastconn", .leastConnections), ("p2c", .powerOfTwo), ("random", .random), ("first", .first),
            ("{ hash: uri }", .hash(.uri, boundedLoad: nil)), ("{ hash: path, bounded_load: 2 }", .hash(.path, boundedLoad: 2)),
            ("{ hash: ip }", .hash(.ip, boundedLoad: nil)), ("{ hash: query(a) }", .hash(.query("a"), boundedLoad: nil)),
            ("{ hash: header(X-Tenant) }", .hash(.header("X-Tenant"), boundedLoad: nil)),
            ("{ hash: cookie(s) }", .hash(.cookie("s"), boundedLoad: nil)),
        ]
        for (text, expected) in table {
            let pool = try pool("balance: \(text)")
            #expect(pool.balance == expected, "\(text)")
            if case .hash = expected { #expect(pool.sticky == nil) } else { #expect(pool.sticky != nil) }
        }
        #expect(try pool("balance: { hash: uri }\nsticky: {}").sticky == StickyConfiguration(pool: "web"))
    }

    @Test func stickiness() throws {
        for off in ["off", "false", "False", "\"off\"", "no"] { #expect(try pool("sticky: \(off)").sticky == nil, "\(off)") }
        #expect(try pool("sticky: cookie").sticky == StickyConfiguration(pool: "web"))
        #expect(try pool("sticky: { mode: cookie, cookie: passive, name: S }").sticky == StickyConfiguration(mode: .passive, name: "S"))
        #expect(try pool("sticky: { cookie: insert, name: S }").sticky?.mode == .cookie)
        #expect(
            try pool("sticky: { mode: route, name: \"_s|_p\" }").sticky == StickyConfiguration(mode: .route, name: "_s", parameter: "_p")
        )
        #expect(try pool("sticky: { mode: route, name: _s }").sticky == StickyConfiguration(mode: .route, name: "_s"))
        #expect(try pool("sticky: { mode: ip }").sticky?.mode == .ip)
        #expect(try pool("sticky: { mode: header, name: X-User }").sticky == StickyConfiguration(mode: .header, name: "X-User"))
        #expect(try pool("sticky: { mode: query, name: user }").sticky == StickyConfiguration(mode: .query, name: "user"))
        for text in ["nofailover: true", "on_down: fail", "on_down: fail, nofailover: true"] {
            #expect(try pool("sticky: { mode: route, name: _s, \(text) }").sticky?.onDown == .fail, "\(text)")
        }
        #expect(try pool("sticky: { nofailover: false }").sticky?.onDown == .rebalance)
        let timed = try pool("sticky: { max_idle: 90s, max_life: 2d }").sticky
        #expect(timed?.maxIdle == .seconds(90) && timed?.maxLife == .seconds(172_800))
    }

    @Test func poolsPolicies() throws {
        #expect(try pool("on_marked_down: cut").onMarkedDown == .cut)
        #expect(try pool("on_marked_down: shutdown-sessions").onMarkedDown == .cut)
        #expect(try pool("on_marked_down: keep").onMarkedDown == .keep)
        #expect(try pool("on_marked_down: paced").onMarkedDown == .paced(perSecond: 500))
        #expect(try pool("on_marked_down: { paced: 600/m }").onMarkedDown == .paced(perSecond: 10))
        #expect(try pool("slow_start: off").slowStart == .zero)
        #expect(try pool("slow_start: 0").slowStart == .zero)
        #expect(try pool("panic: true").panic)
        #expect(try pool("panic: off").panic == false)
        let health = try pool("health: { path: /h?x=1, expect: 204, interval: 500ms, timeout: 1.5s, fall: 1, rise: 9 }").health
        #expect(health.path == "/h?x=1" && health.expect == 204 && health.fall == 1 && health.rise == 9)
        #expect(health.interval == .milliseconds(500) && health.timeout == .milliseconds(1500))
        #expect(try pool("health: { websocket: { path: /v1/watch } }").health.webSocketPath == "/v1/watch")
        #expect(try pool("health: { websocket: off }").health.webSocketPath == nil)
        let passive = try pool("passive: { max_fails: 1, fail_timeout: 1m, max_ejected_percent: 100 }").passive
        #expect(passive.maxFails == 1 && passive.failTimeout == .seconds(60) && passive.maxEjectedPercent == 100)
        #expect(try pool("tls: { server_name: api.internal }").tls?.serverName == "api.internal")
        #expect(try pool("tls: {}").tls == UpstreamTLS())
        #expect(try pool("tls: off").tls == nil)
        #expect(try pool("discover: off").discover.isEmpty)
    }

    @Test func listenersAndAdmin() throws {
        func listener(_ text: String) throws -> ListenerConfiguration { try parse(ConfigurationFolder.least(listener: text)).listeners[0] }
        #expect(try listener("redirect_https: 308").redirectHTTPS == 308)
        #expect(try listener("redirect_https: off").redirectHTTPS == nil)
        #expect(try listener("proxy_protocol: false").acceptsProxyProtocol == false)
        #expect(try listener("tls: off\nhsts: off").hsts == nil)
        func more(_ text: String) throws -> BalancerConfiguration { try parse(ConfigurationFolder.least(text)) }
        #expect(try more("admin: off").admin == nil)
        #expect(try more("admin: { bind: off, socket: /run/b.sock }").admin?.bind == nil)
        #expect(try more("admin: { bind: \"[::1]:9000\" }").admin?.bind == Endpoint(host: "::1", port: 9000))
        #expect(try more("admin: { bind: \"127.3.2.1:1\" }").admin?.bind?.description == "127.3.2.1:1")
        #expect(try more("admin: { bind: \"unix:/run/admin.sock\" }").admin?.bind?.description == "unix:/run/admin.sock")
        #expect(try more("access_log: off").accessLog.format == .off)
        #expect(try more("access_log: false").accessLog.format == .off)
        #expect(try more("access_log: { format: httplog, sample: 0.25 }").accessLog == AccessLogRule(.httplog, sample: 0.25))
        #expect(try more("security_headers: classic").securityHeaders == .classic)
        #expect(try more("security_headers: no").securityHeaders == .off)
        #expect(try more("trusted_proxies: [10.0.0.0/8, 'fd00::/8', '192.0.2.1', 'unix:']").trustedProxies.count == 4)
        #expect(try more("user: root\ngroup: root").user == "root")
    }

    @Test func routesAndLimits() throws {
        func route(_ text: String) throws -> RouteConfiguration { try parse(ConfigurationFolder.least("routes: [{ \(text) }]")).routes[0] }
        #expect(try route("path: /, pool: web") == RouteConfiguration(path: "/", pool: "web"))
        #expect(try route("path: /, pool: web, host: A.example").host == "A.example")
        #expect(try route("path: /, pool: web, host: \"[::1]\"").host == "[::1]")
        #expect(try route("path: /, pool: web, compression: off").compresses == false)
        #expect(try route("path: /, pool: web, access_log: off").accessLog == AccessLogRule(.off))
        let rates: [(String, RateLimitConfiguration)] = [
            ("{ key: ip, rate: 30/m, burst: 5 }", .init(key: .ip, rate: 0.5, burst: 5)),
            ("{ rate: 10/s }", .init(key: .token, rate: 10, burst: 10)),
            ("{ key: token, rate: 1800/h }", .init(key: .token, rate: 0.5, burst: 1)),
        ]
        for (text, expected) in rates { #expect(try route("path: /, pool: web, rate_limit: \(text)").rateLimit == expected, "\(text)") }
        #expect(try route("path: /, pool: web, rate_limit: off").rateLimit == nil)

        func limits(_ text: String) throws -> BalancerLimits { try parse(ConfigurationFolder.least("limits: { \(text) }")).limits }
        let times = try limits(
            "header_timeout: 1s, client_idle: 2s, connect: 3s, response: 4s, tunnel_idle: 5m, server_idle: 6s, surplus_idle: 7s, body_grace: 0, "
                + "queue_timeout: 9s, linger: 10ms, drain: 11s, drain_tunnels: 10s"
        )
        #expect(times.headerTimeout == .seconds(1) && times.clientIdle == .seconds(2) && times.connect == .seconds(3))
        #expect(times.response == .seconds(4) && times.tunnelIdle == .seconds(300) && times.serverIdle == .seconds(6))
        #expect(times.surplusIdle == .seconds(7) && times.bodyGrace == .zero && times.queueTimeout == .seconds(9))
        #expect(times.linger == .milliseconds(10) && times.drain == .seconds(11) && times.drainTunnels == .seconds(10))
        let counts = try limits(
            "headers: 50, upgrades_per_second: 9, connections_per_address: 8, idle_per_server: 0, queued: 7, drain_pace: 6, header_bytes: 64KB, "
                + "body_rate: 1KiB, linger_bytes: 5B"
        )
        #expect(counts.headers == 50 && counts.upgradesPerSecond == 9 && counts.connectionsPerAddress == 8 && counts.idlePerServer == 0)
        #expect(counts.queued == 7 && counts.drainPace == 6 && counts.headerBytes == 64_000 && counts.bodyRate == 1024)
        #expect(counts.lingerBytes == 5)
        #expect(try limits("connections_per_address: off").connectionsPerAddress == 0)
    }

    @Test func anchorsAndOtherSpellingsOfYAML() throws {
        let text = """
            # a comment
            listeners: &where [ ':8080' ]
            pools:
              "web": { servers: [ { 'name': a, "address": h:1, weight: 0x10 } ] }
            """
        let error = #expect(throws: BalancerError.self) { try parse(text) }
        #expect(error?.faults.map(\.key) == ["pools.web.servers[0].weight"])
        let shared = """
            listeners: [':8080']
            pools:
              a: { servers: ['h:1'], health: &quick { interval: 1s } }
              b: { servers: ['h:2'], health: *quick }
            routes: [{ path: /a, pool: a }, { path: /, pool: b }]
            """
        #expect(try parse(shared).pools[1].health.interval == .seconds(1))
    }
}
