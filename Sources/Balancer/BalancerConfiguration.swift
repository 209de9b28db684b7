// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The balancer: requests from clients to the servers of its pools, and back.
// Flows through: Listener (accept, heads) -> Routing (which pool, which fields) -> Pool (which server) -> Upstream (a connection to it)
//   -> Exchange (one request and its response) or Tunnel (bytes both ways); Status answers for the balancer itself.
// Owner: each loop owns its listeners, its clients and their upstream connections; the control loop owns health and publishes snapshots.
// Must hold: no exchange ever leaves its loop, and what is forwarded has one meaning to every server behind us.

package import Reactor

/// Everything the balancer is told, with the defaults of its contract. A plain value; `validate` judges it as a whole.
package struct BalancerConfiguration: Sendable {
    package var listeners: [Endpoint]
    /// Metrics and servers; nil turns it off.
    package var admin: Endpoint? = Endpoint(host: "127.0.0.1", port: 9100)
    package var pools: [PoolConfiguration]
    /// Empty: see `effectiveRoutes`.
    package var routes: [RouteConfiguration] = []
    /// Peers whose forwarding fields are believed.
    package var trustedProxies: [AddressRange] = []
    /// nil: a random key, so that cookies end with the process.
    package var stickyKeys: StickyKeyRing?
    package var accessLog = AccessLogFormat.off
    package var limits = BalancerLimits()

    package init(listeners: [Endpoint], pools: [PoolConfiguration]) {
        self.listeners = listeners
        self.pools = pools
    }
}

package enum AccessLogFormat: String, Sendable, CaseIterable {
    case off
    case json
}

package struct PoolConfiguration: Sendable, Equatable {
    package var name: String
    package var servers: [ServerConfiguration]
    package var sticky: StickyConfiguration?
    package var health = HealthConfiguration()
    package var passive = PassiveConfiguration()

    /// Sticky by a cookie of the pool's name, as is the default where the algorithm is no hash.
    package init(name: String, servers: [ServerConfiguration]) {
        self.name = name
        self.servers = servers
        sticky = StickyConfiguration(pool: name)
    }
}

package struct ServerConfiguration: Sendable, Hashable {
    package var name: String
    package var address: Endpoint
    /// 0 to 256; a server of weight 0 serves only clients that are pinned to it.
    package var weight: Int

    package init(name: String, address: Endpoint, weight: Int = 1) {
        self.name = name
        self.address = address
        self.weight = weight
    }
}

package struct StickyConfiguration: Sendable, Equatable {
    package var cookie: String
    package var maxIdle = Duration.seconds(3600)
    package var maxLife = Duration.seconds(24 * 3600)

    package init(pool: String) {
        cookie = "KEYVANE_" + pool.uppercased().replacing("-", with: "_").replacing(".", with: "_")
    }
}

/// Active checks.
package struct HealthConfiguration: Sendable, Equatable {
    package var path = "/readyz"
    package var expect = 200
    package var interval = Duration.seconds(5)
    package var timeout = Duration.seconds(2)
    package var fall = 3
    package var rise = 2

    package init() {}
}

/// What the traffic itself tells of a server.
package struct PassiveConfiguration: Sendable, Equatable {
    package var maxFails = 3
    package var failTimeout = Duration.seconds(30)
    package var maxEjectedPercent = 50

    package init() {}
}

package struct RouteConfiguration: Sendable, Equatable {
    /// Without a port, any case; nil or `*` is every host.
    package var host: String?
    /// A prefix, matched at path segments.
    package var path: String
    package var pool: String

    package init(host: String? = nil, path: String, pool: String) {
        self.host = host
        self.path = path
        self.pool = pool
    }
}
