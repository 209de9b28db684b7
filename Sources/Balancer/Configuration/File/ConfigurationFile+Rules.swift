// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Health, TLS, headers and pages of a pool; routes; limits.
extension ConfigurationFile {
    static func health(_ value: FileValue) -> HealthConfiguration? {
        guard let map = value.mapping(["path", "expect", "interval", "timeout", "fall", "rise", "websocket"]) else { return nil }
        var health = HealthConfiguration()
        map.read("path", into: &health.path) { $0.text("a path") }
        map.read("expect", into: &health.expect) { $0.integer(100...599) }
        map.read("interval", into: &health.interval) { $0.duration() }
        map.read("timeout", into: &health.timeout) { $0.duration() }
        map.read("fall", into: &health.fall) { $0.integer(1...1000) }
        map.read("rise", into: &health.rise) { $0.integer(1...1000) }
        if let entry = map["websocket"], !entry.isOff, let check = entry.mapping(["path", "token_file"]) {
            health.webSocketPath = check.required("path", "where the upgrade goes, such as /v1/watch")?.text("a path")
            check.read("token_file", into: &health.webSocketTokenFile) { $0.path() }
        }
        return health
    }

    static func passive(_ value: FileValue) -> PassiveConfiguration? {
        guard let map = value.mapping(["max_fails", "fail_timeout", "max_ejected_percent"]) else { return nil }
        var passive = PassiveConfiguration()
        map.read("max_fails", into: &passive.maxFails) { $0.integer(1...1_000_000) }
        map.read("fail_timeout", into: &passive.failTimeout) { $0.duration() }
        map.read("max_ejected_percent", into: &passive.maxEjectedPercent) { $0.integer(0...100) }
        return passive
    }

    static func upstreamTLS(_ value: FileValue) -> UpstreamTLS? {
        guard let map = value.mapping(["ca", "certificate", "key", "server_name"]) else { return nil }
        var tls = UpstreamTLS()
        map.read("ca", into: &tls.authorities) { $0.path() }
        map.read("certificate", into: &tls.certificate) { $0.path() }
        map.read("key", into: &tls.key) { $0.path() }
        map.read("server_name", into: &tls.serverName) { $0.text("a host name") }
        return tls
    }

    // MARK: Headers and pages

    static func headers(_ value: FileValue) -> HeaderRules? {
        guard let map = value.mapping(["request", "response"]) else { return nil }
        var rules = HeaderRules()
        map.read("request", into: &rules.request, changes)
        map.read("response", into: &rules.response, changes)
        return rules
    }

    private static func changes(_ value: FileValue) -> HeaderRules.Changes? {
        guard let map = value.mapping(["remove", "set", "add"]) else { return nil }
        var changes = HeaderRules.Changes()
        map.read("remove", into: &changes.remove) { $0.texts("a field's name") }
        map.read("set", into: &changes.set, fields)
        map.read("add", into: &changes.add, fields)
        return changes
    }

    private static func fields(_ value: FileValue) -> [HeaderRules.Changes.Field]? {
        value.entries()?.compactMap { name, value in value.text("a field's value").map { HeaderRules.Changes.Field(name, $0) } }
    }

    static func errorPages(_ value: FileValue) -> [Int: String]? {
        guard let entries = value.entries() else { return nil }
        var pages: [Int: String] = [:]
        for (name, entry) in entries {
            guard let status = Int(name), ErrorPages.statuses.contains(status) else {
                entry.fault(ErrorPages.rule)
                continue
            }
            if let path = entry.path() { pages[status] = path }
        }
        return pages
    }

    // MARK: Routes

    static func route(_ value: FileValue) -> RouteConfiguration? {
        guard let map = value.mapping(["host", "path", "pool", "compression", "rate_limit", "access_log"]) else { return nil }
        let path = map.required("path", "a prefix such as /")?.text("a path")
        let pool = map.required("pool", "the pool that answers")?.text("a pool's name")
        guard let path, let pool else { return nil }
        var route = RouteConfiguration(path: path, pool: pool)
        map.read("host", into: &route.host) { $0.text("a host name, or *") }
        map.read("compression", into: &route.compresses) { $0.choice([("gzip", true), ("off", false)]) }
        map.read("rate_limit", into: &route.rateLimit, rateLimit)
        if let entry = map["access_log"] { route.accessLog = accessLog(entry) }
        return route
    }

    private static func rateLimit(_ value: FileValue) -> RateLimitConfiguration? {
        guard let map = value.mapping(["key", "rate", "burst"]) else { return nil }
        // Whoever has no token counts by address anyway.
        var key: RateLimitConfiguration.Key? = .token
        if let entry = map["key"] { key = entry.choice([("token", .token), ("ip", .ip), ("token|ip", .token)]) }
        guard let key, let rate = map.required("rate", "requests in a time, such as 100/s")?.rate() else { return nil }
        var burst = max(1, Int(rate.rounded(.up)))
        map.read("burst", into: &burst) { $0.integer(1...1_000_000) }
        return RateLimitConfiguration(key: key, rate: rate, burst: burst)
    }

    // MARK: Limits

    static func limits(_ value: FileValue) -> BalancerLimits? {
        let times: [(String, WritableKeyPath<BalancerLimits, Duration>)] = [
            ("header_timeout", \.headerTimeout), ("client_idle", \.clientIdle), ("connect", \.connect), ("response", \.response),
            ("tunnel_idle", \.tunnelIdle), ("server_idle", \.serverIdle), ("surplus_idle", \.surplusIdle), ("body_grace", \.bodyGrace),
            ("queue_timeout", \.queueTimeout), ("linger", \.linger), ("drain", \.drain), ("drain_tunnels", \.drainTunnels),
        ]
        let counts: [(String, WritableKeyPath<BalancerLimits, Int>, ClosedRange<Int>)] = [
            ("headers", \.headers, 1...10_000), ("upgrades_per_second", \.upgradesPerSecond, 1...1_000_000),
            ("connections_per_address", \.connectionsPerAddress, 0...1_000_000), ("idle_per_server", \.idlePerServer, 0...10_000),
            ("queued", \.queued, 0...1_000_000), ("drain_pace", \.drainPace, 1...1_000_000),
        ]
        let sizes: [(String, WritableKeyPath<BalancerLimits, Int>)] = [
            ("header_bytes", \.headerBytes), ("body_rate", \.bodyRate), ("linger_bytes", \.lingerBytes),
        ]
        guard let map = value.mapping(times.map(\.0) + counts.map(\.0) + sizes.map(\.0)) else { return nil }
        var limits = BalancerLimits()
        for (name, path) in times { map.read(name, into: &limits[keyPath: path]) { $0.duration() } }
        for (name, path, range) in counts {
            map.read(name, into: &limits[keyPath: path]) { $0.isOff && range.contains(0) ? 0 : $0.integer(range) }
        }
        for (name, path) in sizes { map.read(name, into: &limits[keyPath: path]) { $0.size() } }
        return limits
    }
}
