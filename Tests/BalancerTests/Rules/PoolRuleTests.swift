// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import Testing

/// Flags, configurations, turns, budgets, paces: by values.
@Suite struct PoolRuleTests {
    @Test func poolFlags() throws {
        let pool = try PoolFlag.parse("api=127.0.0.1:8081,web2@127.0.0.1:8082,[::1]:8083,unix:/run/x.sock")
        #expect(pool.name == "api" && pool.sticky?.name == "KEYVANE_API")
        #expect(pool.servers.map(\.name) == ["api-1", "web2", "api-3", "api-4"])
        #expect(pool.servers.map(\.address.description) == ["127.0.0.1:8081", "127.0.0.1:8082", "[::1]:8083", "unix:/run/x.sock"])
        #expect(try PoolFlag.parse("gateway=").servers.isEmpty)
        #expect(try PoolFlag.parse("web-a=h:1").sticky?.name == "KEYVANE_WEB_A")
        for bad in ["api", "=h:1", "a b=h:1", "api=h", "api=:80", "api=h:0", "api=h:1,", "api=x@h:1,x@h:2", "api=a/b@h:1", "api=h:99999"] {
            #expect(throws: BalancerError.self, "\(bad)") { try PoolFlag.parse(bad) }
        }
    }

    @Test func configurationsAreJudgedAsAWhole() throws {
        let listener = Endpoint(host: "127.0.0.1", port: 0)
        let api = try PoolFlag.parse("api=h:1")
        var good = BalancerConfiguration(listeners: [listener], pools: [api])
        try good.validate()
        #expect(try good.effectiveRoutes() == [RouteConfiguration(path: "/", pool: "api")])
        good.pools.append(try PoolFlag.parse("gateway=h:2"))
        #expect(try good.effectiveRoutes().map(\.path) == ["/v1/watch", "/socket.io/", "/"])
        let faults: [(inout BalancerConfiguration) -> Void] = [
            { $0.listeners = [] }, { $0.pools = [] }, { $0.pools[1].name = "api" }, { $0.pools[1].name = "other" },
            { $0.pools[1].sticky?.name = "KEYVANE_API" }, { $0.routes = [RouteConfiguration(path: "/", pool: "none")] },
            { $0.routes = [RouteConfiguration(path: "x", pool: "api")] }, { $0.pools[0].servers[0].weight = 257 },
            { $0.pools[0].health.path = "readyz" }, { $0.pools[0].health.fall = 0 }, { $0.pools[0].passive.maxFails = 0 },
            { $0.limits.headerBytes = 10 }, { $0.limits.connect = .zero }, { $0.limits.upgradesPerSecond = 0 },
            { $0.pools[0].sticky?.maxLife = .seconds(60) },
        ]
        for (index, fault) in faults.enumerated() {
            var configuration = good
            fault(&configuration)
            #expect(throws: BalancerError.self, "fault \(index)") { try configuration.validate() }
        }
    }

    @Test func turnsAreSmoothAndExact() {
        var turns = SmoothWeightedRoundRobin(weights: [5, 1, 1, 0])
        #expect((0..<7).compactMap { _ in turns.next { _ in true } } == [0, 0, 1, 0, 2, 0, 0])
        var counts = [0, 0, 0, 0]
        for _ in 0..<700 { if let next = turns.next(where: { _ in true }) { counts[next] += 1 } }
        #expect(counts == [500, 100, 100, 0])
        #expect(turns.next { _ in false } == nil)
        #expect(turns.next { $0 == 3 } == nil)
        #expect(turns.next { $0 == 2 } == 2)
        // Loops begin at different places.
        let firsts = (0..<3).map { loop in
            var turns = SmoothWeightedRoundRobin(weights: [1, 1, 1], skipping: loop)
            return turns.next { _ in true }
        }
        #expect(firsts == [0, 1, 2])
        var empty = SmoothWeightedRoundRobin(weights: [], skipping: 3)
        #expect(empty.next { _ in true } == nil)
    }

    @Test func retriesAreAShareOfRequests() {
        var budget = RetryBudget(at: 0)
        #expect((0..<20).count { _ in budget.takeRetry(at: 0) } == 10)
        for _ in 0..<50 { budget.requestStarted() }
        #expect((0..<20).count { _ in budget.takeRetry(at: 0) } == 10)
        // A second later a quiet pool has its free ones again, and no more.
        #expect((0..<20).count { _ in budget.takeRetry(at: 1000) } == 10)
        let later = budget.takeRetry(at: 60_000)
        #expect(later)
    }

    @Test func upgradesAreARate() {
        var bucket = TokenBucket(perSecond: 10)
        #expect((0..<30).count { _ in bucket.take(at: 5000) } == 10)
        #expect((0..<30).count { _ in bucket.take(at: 5500) } == 5)
        // Another loop's clock is a turn behind.
        let late = bucket.take(at: 5400)
        #expect(!late)
        #expect((0..<30).count { _ in bucket.take(at: 60_000) } == 10)
    }

    @Test func drainsKeepTheirPace() {
        let limits = BalancerLimits()
        #expect(TunnelPace(limits, tunnels: 100, loops: 1).perSecond == 500)
        #expect(TunnelPace(limits, tunnels: 100, loops: 2).perSecond == 250)
        #expect(TunnelPace(limits, tunnels: 50_000, loops: 2).perSecond == 2000)
        #expect(TunnelPace(limits, tunnels: 50_000, loops: 2).due(after: 25_000) == 50_000)
    }

    @Test func addressRanges() throws {
        func contains(_ range: String, _ address: String) throws -> Bool {
            let address = try #require(SocketAddress(numeric: address, port: 1))
            return try AddressRange(parsing: range).contains(address)
        }
        #expect(try contains("10.0.0.0/8", "10.255.1.2"))
        #expect(try !contains("10.0.0.0/8", "11.0.0.1"))
        #expect(try contains("192.168.1.128/25", "192.168.1.200"))
        #expect(try !contains("192.168.1.128/25", "192.168.1.100"))
        #expect(try contains("0.0.0.0/0", "1.2.3.4"))
        #expect(try contains("127.0.0.1", "127.0.0.1"))
        #expect(try contains("10.0.0.0/8", "::ffff:10.1.1.1"))
        #expect(try contains("fd00::/8", "fd12::1"))
        #expect(try !contains("fd00::/8", "10.0.0.1"))
        for bad in ["", "10.0.0.0/33", "10.0.0.0/x", "host/8", "10.0.0.0/-1", "::/129"] {
            #expect(throws: BalancerError.self, "\(bad)") { try AddressRange(parsing: bad) }
        }
    }

    @Test func routesMatchAtSegments() throws {
        var configuration = BalancerConfiguration(
            listeners: [Endpoint(host: "", port: 0)],
            pools: ["api", "gateway", "admin"].map { PoolConfiguration(name: $0, servers: []) }
        )
        configuration.routes = [
            RouteConfiguration(host: "Admin.Example", path: "/", pool: "admin"), RouteConfiguration(path: "/v1/watch", pool: "gateway"),
            RouteConfiguration(host: "*", path: "/socket.io/", pool: "gateway"), RouteConfiguration(path: "/v1", pool: "api"),
        ]
        let routes = try RouteTable(configuration)
        func pool(_ path: String, _ host: String = "other") -> Int? {
            let bytes = Array((path + host).utf8)
            return routes.pool(path: 0..<path.utf8.count, host: path.utf8.count..<bytes.count, in: bytes.span)
        }
        #expect(pool("/v1/watch") == 1 && pool("/v1/watch/x") == 1 && pool("/v1/watchers") == 0)
        #expect(pool("/socket.io/") == 1 && pool("/socket.io/?x") == 1 && pool("/socket.io") == nil)
        #expect(pool("/v1") == 0 && pool("/v2") == nil && pool("/") == nil)
        #expect(pool("/v2", "ADMIN.example") == 2 && pool("/v2", "admin.example:81") == 2 && pool("/v2", "admin.example.evil") == nil)
        #expect(pool("*", "admin.example") == 2)
    }
}
