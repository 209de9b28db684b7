// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Where the requests of one route go, and what they are subject to on the way. Immutable but for the limiter; made when the settings are
/// adopted.
final class Route: Sendable {
    let host: [UInt8]?
    let path: [UInt8]
    /// Its index.
    let pool: Int
    let rules: PoolRules
    let compresses: Bool
    let limiter: RateLimiter?
    /// nil: as everywhere.
    let log: AccessLogRule?

    init(_ configuration: RouteConfiguration, pool: Int, rules: PoolRules, keeping before: Route?) {
        host = configuration.host.flatMap { $0 == "*" ? nil : Array($0.lowercased().utf8) }
        path = Array(configuration.path.utf8)
        self.pool = pool
        self.rules = rules
        compresses = configuration.compresses
        log = configuration.accessLog
        // A change elsewhere must not fill everybody's bucket.
        let known = before?.limiter
        limiter = configuration.rateLimit.map { limit in known?.configuration == limit ? known ?? RateLimiter(limit) : RateLimiter(limit) }
    }
}

/// What a pool wants done to its messages. Immutable.
final class PoolRules: Sendable {
    let request: HeaderPlan
    let response: HeaderPlan
    let pages: ErrorPages

    init(_ pool: PoolConfiguration, securityHeaders: SecurityHeaders) throws(BalancerError) {
        request = HeaderPlan(pool.headers.request)
        response = HeaderPlan(pool.headers.response, defaults: securityHeaders)
        pages = try ErrorPages(loading: pool.errorPages, pool: pool.name)
    }
}
