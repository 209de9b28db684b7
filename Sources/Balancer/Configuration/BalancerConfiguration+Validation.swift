// Keyvane
// SPDX-License-Identifier: Apache-2.0

extension BalancerConfiguration {
    /// The cookies that are ours to set and to take off.
    var stickyCookies: [String] {
        pools.compactMap { $0.sticky?.mode == .cookie ? $0.sticky?.name : nil }
    }

    /// The routes as configured; else one pool takes everything, and pools named api and gateway get the product's own three.
    package func effectiveRoutes() throws(BalancerError) -> [RouteConfiguration] {
        if !routes.isEmpty { return routes }
        let names = Set(pools.map(\.name))
        if names == ["api", "gateway"] {
            return [
                RouteConfiguration(path: "/v1/watch", pool: "gateway"),
                RouteConfiguration(path: "/socket.io/", pool: "gateway"),
                RouteConfiguration(path: "/", pool: "api"),
            ]
        }
        guard let only = pools.first, pools.count == 1 else {
            throw BalancerError(.configurationInvalid, "routes: say which path goes to which of the \(pools.count) pools")
        }
        return [RouteConfiguration(path: "/", pool: only.name)]
    }

    /// Refuses the whole if one value is wrong, and names it.
    package func validate() throws(BalancerError) {
        guard !listeners.isEmpty else { throw .init(.configurationInvalid, "listeners: at least one address is needed") }
        guard !pools.isEmpty else { throw .init(.configurationInvalid, "pools: at least one pool is needed") }
        var names: Set<String> = []
        for pool in pools {
            guard names.insert(pool.name).inserted else { throw .init(.configurationInvalid, "pools: '\(pool.name)' is there twice") }
            try pool.validate()
        }
        let cookies = stickyCookies
        guard Set(cookies).count == cookies.count else {
            throw .init(.configurationInvalid, "pools: two pools share a sticky cookie's name; give each its own")
        }
        for route in try effectiveRoutes() {
            guard names.contains(route.pool) else { throw .init(.configurationInvalid, "routes: there is no pool '\(route.pool)'") }
            guard route.path.hasPrefix("/") else {
                throw .init(.configurationInvalid, "routes: the path '\(route.path)' must begin with /")
            }
            if let limit = route.rateLimit, !(limit.rate > 0 && limit.rate <= 1_000_000 && (1...1_000_000).contains(limit.burst)) {
                throw .init(
                    .configurationInvalid,
                    "routes: the rate limit of '\(route.path)': rate and burst are above 0, a million at most"
                )
            }
        }
        try limits.validate()
    }
}

extension PoolConfiguration {
    package func validate() throws(BalancerError) {
        guard NameRule.isValid(name) else { throw .init(.configurationInvalid, "pools: '\(name)': \(NameRule.text)") }
        try Self.validate(servers, pool: name)
        if let sticky {
            guard sticky.mode == .ip || NameRule.isToken(sticky.name), sticky.parameter.map(NameRule.isToken) ?? true else {
                throw .init(.configurationInvalid, "pools.\(name).sticky: names have 1 to 64 of A-Z a-z 0-9 . _ -")
            }
            guard sticky.maxIdle > .seconds(1), sticky.maxLife >= sticky.maxIdle else {
                throw .init(.configurationInvalid, "pools.\(name).sticky: max_idle must be above 1s, and max_life not below max_idle")
            }
        }
        try headers.validate(pool: name)
        for status in errorPages.keys.sorted() where !ErrorPages.statuses.contains(status) {
            throw .init(.configurationInvalid, "pools.\(name).error_pages.\(status): \(ErrorPages.rule)")
        }
        guard health.path.hasPrefix("/"), !health.path.contains(where: { $0.isWhitespace || !$0.isASCII }) else {
            throw .init(.configurationInvalid, "pools.\(name).health.path: '\(health.path)' must be a path that begins with /")
        }
        guard health.interval > .zero, health.timeout > .zero, health.fall > 0, health.rise > 0,
            (100...599).contains(health.expect)
        else {
            throw .init(.configurationInvalid, "pools.\(name).health: interval, timeout, fall and rise must be above 0, expect a status")
        }
        guard passive.maxFails > 0, passive.failTimeout > .zero, (0...100).contains(passive.maxEjectedPercent) else {
            throw .init(.configurationInvalid, "pools.\(name).passive: max_fails, fail_timeout above 0; max_ejected_percent 0 to 100")
        }
    }

    static func validate(_ servers: [ServerConfiguration], pool: String) throws(BalancerError) {
        var names: Set<String> = []
        for server in servers {
            guard NameRule.isValid(server.name) else {
                throw .init(.configurationInvalid, "pools.\(pool).servers: '\(server.name)': \(NameRule.text)")
            }
            guard names.insert(server.name).inserted else {
                throw .init(.configurationInvalid, "pools.\(pool).servers: '\(server.name)' is there twice")
            }
            guard (0...256).contains(server.weight) else {
                throw .init(.configurationInvalid, "pools.\(pool).servers.\(server.name).weight: \(server.weight) is not within 0 to 256")
            }
        }
    }
}

extension BalancerLimits {
    func validate() throws(BalancerError) {
        let times: [(String, Duration)] = [
            ("header_timeout", headerTimeout), ("client_idle", clientIdle), ("connect", connect), ("response", response),
            ("tunnel_idle", tunnelIdle),
        ]
        for (name, time) in times where time <= .zero {
            throw .init(.configurationInvalid, "limits.\(name): must be above 0")
        }
        guard (1024...1024 * 1024).contains(headerBytes) else {
            throw .init(.configurationInvalid, "limits.header_bytes: \(headerBytes) is not within 1 KiB to 1 MiB")
        }
        guard (1...10_000).contains(headers), upgradesPerSecond > 0 else {
            throw .init(.configurationInvalid, "limits: headers is 1 to 10000, upgrades_per_second above 0")
        }
    }
}

/// Names become cookie names, metric labels and words of a command line.
enum NameRule {
    static let text = "names have 1 to 64 of A-Z a-z 0-9 . _ -, and begin with a letter or digit"

    static func isValid(_ name: String) -> Bool {
        name.utf8.first.map(isAlphanumeric) == true && isToken(name)
    }

    /// What servers may have named, such as a session called `_s`.
    static func isToken(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count) && name.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2E || $0 == 0x5F || $0 == 0x2D }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        byte &- 0x30 < 10 || (byte | 0x20) &- 0x61 < 26
    }
}
