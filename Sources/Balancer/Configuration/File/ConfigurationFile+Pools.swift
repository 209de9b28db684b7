// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Pools and their servers.
extension ConfigurationFile {
    static func pool(_ name: String, _ value: FileValue) -> PoolConfiguration? {
        let keys = [
            "balance", "sticky", "health", "passive", "slow_start", "on_marked_down", "panic", "servers", "discover", "tls", "headers",
            "error_pages",
        ]
        guard let map = value.mapping(keys) else { return nil }
        var pool = PoolConfiguration(name: name, servers: [])
        map.read("balance", into: &pool.balance, balance)
        // A hash leads clients where they belong by itself.
        if case .hash = pool.balance { pool.sticky = nil }
        map.read("sticky", into: &pool.sticky) { sticky($0, pool: name) }
        map.read("health", into: &pool.health, health)
        map.read("passive", into: &pool.passive, passive)
        map.read("slow_start", into: &pool.slowStart) { $0.isOff ? .zero : $0.duration() }
        map.read("on_marked_down", into: &pool.onMarkedDown, markedDown)
        map.read("panic", into: &pool.panic) { $0.boolean() }
        map.read("discover", into: &pool.discover) { value in
            value.isOff ? [] : value.list().map { Set($0.compactMap { $0.choice(PoolConfiguration.Discovery.self) }) }
        }
        map.read("servers", into: &pool.servers) { value in
            value.list()?.enumerated().map { index, value in
                let fallback = "\(name)-\(index + 1)"
                let read = server(value, fallback: fallback)
                return value.orPlaceholder(read, ServerConfiguration(name: fallback, address: Endpoint(host: "", port: 0)))
            }
        }
        if map["servers"] == nil, map["discover"] == nil {
            _ = map.required("servers", "list the pool's servers, or `discover: [redis]`")
        }
        map.read("tls", into: &pool.tls, upstreamTLS)
        map.read("headers", into: &pool.headers, headers)
        map.read("error_pages", into: &pool.errorPages, errorPages)
        return pool
    }

    private static func server(_ value: FileValue, fallback: String) -> ServerConfiguration? {
        // An address alone is a server named by its place, as with the command line's flag.
        if !value.isMapping { return value.endpoint().map { ServerConfiguration(name: fallback, address: $0) } }
        guard let map = value.mapping(["name", "address", "weight", "maxconn", "route", "backup"]),
            let address = map.required("address", "write HOST:PORT, [IPV6]:PORT or unix:/PATH")?.endpoint()
        else { return nil }
        var server = ServerConfiguration(name: fallback, address: address)
        map.read("name", into: &server.name) { $0.text("a name") }
        map.read("weight", into: &server.weight) { $0.integer(0...256) }
        map.read("maxconn", into: &server.maxConnections) { $0.integer(0...1_000_000) }
        map.read("route", into: &server.route) { $0.text("a route") }
        map.read("backup", into: &server.isBackup) { $0.boolean() }
        return server
    }

    private static func balance(_ value: FileValue) -> BalanceConfiguration? {
        guard value.isMapping else {
            let words: [(String, BalanceConfiguration?)] = [
                ("roundrobin", .roundRobin), ("leastconn", .leastConnections), ("p2c", .powerOfTwo), ("random", .random), ("first", .first),
                ("hash", nil),
            ]
            guard let chosen = value.choice(words) else { return nil }
            if chosen == nil { value.fault("say what is hashed: { hash: uri }, path, ip, query(NAME), header(NAME) or cookie(NAME)") }
            return chosen
        }
        guard let map = value.mapping(["hash", "bounded_load"]) else { return nil }
        var bound: Double?
        map.read("bounded_load", into: &bound) { $0.number() }
        guard let key = map.required("hash", "what is hashed, such as uri or query(environment)")?.hashKey() else { return nil }
        return .hash(key, boundedLoad: bound)
    }

    private static func sticky(_ value: FileValue, pool: String) -> StickyConfiguration? {
        var sticky = StickyConfiguration(pool: pool)
        guard value.isMapping else {
            // `cookie` is the default written out.
            return value.choice([("cookie", sticky), ("off", sticky)])
        }
        guard let map = value.mapping(["mode", "cookie", "name", "max_idle", "max_life", "on_down", "nofailover"]) else { return nil }
        let words = StickyConfiguration.Mode.allCases.filter { $0 != .passive }
        map.read("mode", into: &sticky.mode) { value in value.choice(words.map { ($0.rawValue, $0) }) }
        if let cookie = map["cookie"], let mode = cookie.choice([("insert", StickyConfiguration.Mode.cookie), ("passive", .passive)]) {
            if sticky.mode != .cookie { cookie.fault("is only for mode cookie") }
            sticky.mode = mode
        }
        map.read("max_idle", into: &sticky.maxIdle) { $0.duration() }
        map.read("max_life", into: &sticky.maxLife) { $0.duration() }
        map.read("on_down", into: &sticky.onDown) { $0.choice(StickyConfiguration.OnDown.self) }
        if let entry = map["nofailover"], let fails = entry.boolean() {
            if map["on_down"] != nil, fails != (sticky.onDown == .fail) { entry.fault("says something else than on_down: leave one out") }
            sticky.onDown = fails ? .fail : .rebalance
        }
        name(map, &sticky)
        return sticky
    }

    private static func name(_ map: FileMapping, _ sticky: inout StickyConfiguration) {
        switch sticky.mode {
        case .cookie:
            map.read("name", into: &sticky.name) { $0.text("a cookie's name") }
        case .ip:
            if let entry = map["name"] { entry.fault("mode ip has no name: leave it out") }
        case .passive, .header, .query:
            guard let text = map.required("name", "the cookie, header field or parameter to look at")?.text("a name") else { return }
            sticky.name = text
        case .route:
            guard let entry = map.required("name", "COOKIE, or COOKIE|PARAMETER, with the session id"), let text = entry.text("a name")
            else { return }
            let parts = text.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
            guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }) else {
                entry.fault("'\(text)' is neither COOKIE nor COOKIE|PARAMETER")
                return
            }
            sticky.name = parts[0]
            sticky.parameter = parts.count == 2 ? parts[1] : nil
        }
    }

    private static func markedDown(_ value: FileValue) -> MarkedDownPolicy? {
        guard value.isMapping else {
            return value.choice([("paced", .paced(perSecond: 500)), ("cut", .cut), ("keep", .keep), ("shutdown-sessions", .cut)])
        }
        guard let map = value.mapping(["paced"]), let entry = map.required("paced", "a rate such as 500/s"), let rate = entry.rate() else {
            return nil
        }
        guard rate >= 1 else {
            entry.fault("must be 1/s at least")
            return nil
        }
        return .paced(perSecond: Int(rate))
    }
}
