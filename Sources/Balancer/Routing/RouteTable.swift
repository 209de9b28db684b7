// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Routing: which pool a request goes to, and what its head becomes on the way.
// Flows through: a parsed head -> `RouteTable` -> `RequestRewriter`; a server's head -> `ResponseRewriter`.
// Owner: tables are immutable values shared by all loops; the rewriters own nothing and append to the caller's buffer.
// Must hold: fields that belong to one hop end there, and are gone before ours are added; what an untrusted peer says of
//   addresses is dropped.

import Wire

/// Host and path to a route: the first one that matches, in the order of the configuration. Immutable.
package struct RouteTable: Sendable {
    private let routes: [Route]

    /// Reads the files that rules name. Routes that were there `before` keep their rate limits' counts.
    package init(_ configuration: BalancerConfiguration, keeping before: RouteTable? = nil) throws(BalancerError) {
        var routes: [Route] = []
        var rules: [String: PoolRules] = [:]
        for pool in configuration.pools {
            rules[pool.name] = try PoolRules(pool, securityHeaders: configuration.securityHeaders)
        }
        for route in try configuration.effectiveRoutes() {
            guard let pool = configuration.pools.firstIndex(where: { $0.name == route.pool }), let rules = rules[route.pool] else {
                throw .init(.configurationInvalid, "routes: there is no pool '\(route.pool)'")
            }
            let made = Route(route, pool: pool, rules: rules, keeping: nil)
            let same = before?.routes.first { $0.host == made.host && $0.path == made.path }
            routes.append(same == nil ? made : Route(route, pool: pool, rules: rules, keeping: same))
        }
        self.routes = routes
    }

    /// The index of the pool; nil where no route matches.
    package func pool(path: Range<Int>, host: Range<Int>?, in bytes: Span<UInt8>) -> Int? {
        route(path: path, host: host, in: bytes)?.pool
    }

    /// `host` is the field's value with or without a port.
    func route(path: Range<Int>, host: Range<Int>?, in bytes: Span<UInt8>) -> Route? {
        for route in routes where Self.matches(route.path, bytes.extracting(path)) {
            guard let wanted = route.host else { return route }
            if let host, Self.matches(host: wanted, bytes.extracting(host)) { return route }
        }
        return nil
    }

    /// `/v1/watch` matches itself and all below `/v1/watch/`, not `/v1/watchers`; `/` matches everything, the `*` of OPTIONS too.
    private static func matches(_ prefix: [UInt8], _ path: Span<UInt8>) -> Bool {
        if prefix.count == 1 { return true }
        guard path.count >= prefix.count else { return false }
        for index in prefix.indices where path[index] != prefix[index] { return false }
        return path.count == prefix.count || prefix[prefix.count - 1] == 0x2F || path[prefix.count] == 0x2F
    }

    private static func matches(host wanted: [UInt8], _ host: Span<UInt8>) -> Bool {
        guard host.count >= wanted.count else { return false }
        for index in wanted.indices {
            let byte = host[index]
            guard (byte &- 0x41 < 26 ? byte | 0x20 : byte) == wanted[index] else { return false }
        }
        return host.count == wanted.count || host[wanted.count] == 0x3A
    }
}
