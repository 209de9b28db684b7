// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Which requests go to which pool; the first route that matches counts.
package struct RouteConfiguration: Sendable, Equatable {
    /// Without a port, any case; nil or `*` is every host.
    package var host: String?
    /// A prefix, matched at path segments.
    package var path: String
    package var pool: String
    package var compresses = false
    package var rateLimit: RateLimitConfiguration?
    /// nil: as the balancer's.
    package var accessLog: AccessLogRule?

    package init(host: String? = nil, path: String, pool: String) {
        self.host = host
        self.path = path
        self.pool = pool
    }
}

/// A token bucket for each key. What is above it is answered 429 with `Retry-After`.
package struct RateLimitConfiguration: Sendable, Hashable {
    package enum Key: String, Sendable, CaseIterable {
        /// The bearer token's hash; requests without one count by address.
        case token
        /// The trusted client address: all of IPv4, the /64 of IPv6.
        case ip
    }

    package var key: Key
    /// Requests a second.
    package var rate: Double
    package var burst: Int

    package init(key: Key, rate: Double, burst: Int) {
        self.key = key
        self.rate = rate
        self.burst = burst
    }
}
