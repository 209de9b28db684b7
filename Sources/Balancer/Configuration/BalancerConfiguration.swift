// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The balancer: requests from clients to the servers of its pools, and back.
// Flows through: Listener (accept, heads) -> Routing (which pool, which fields) -> Pool (which server) -> Upstream (a connection to it)
//   -> Exchange (one request and its response) or Tunnel (bytes both ways); Status answers for the balancer itself.
// Owner: each loop owns its listeners, its clients and their upstream connections; the control loop owns health and publishes snapshots.
// Must hold: no exchange ever leaves its loop, and what is forwarded has one meaning to every server behind us.

package import Reactor

/// Everything the balancer is told, with the defaults of its contract. A plain value; `validate` judges it as a whole, and two of them are
/// compared to find what a change touches.
package struct BalancerConfiguration: Sendable, Equatable {
    package var listeners: [ListenerConfiguration]
    /// nil turns it off.
    package var admin: AdminConfiguration? = AdminConfiguration()
    package var pools: [PoolConfiguration]
    /// Empty: see `effectiveRoutes`.
    package var routes: [RouteConfiguration] = []
    /// Peers whose forwarding fields and PROXY headers are believed.
    package var trustedProxies: [AddressRange] = []
    package var securityHeaders = SecurityHeaders.off
    /// nil: a random key, so that cookies end with the process.
    package var stickyKeys: StickyKeyRing?
    /// Where `stickyKeys` came from, if from a file.
    package var stickyKeysFile: String?
    package var accessLog = AccessLogRule(.off)
    package var limits = BalancerLimits()
    /// Whom to become once the listeners are bound; names of the system's users and groups.
    package var user: String?
    package var group: String?

    package init(listeners: [ListenerConfiguration], pools: [PoolConfiguration]) {
        self.listeners = listeners
        self.pools = pools
    }

    /// Plain listeners.
    package init(listeners: [Endpoint], pools: [PoolConfiguration]) {
        self.init(listeners: listeners.map { ListenerConfiguration(bind: $0) }, pools: pools)
    }
}

/// A preset of response header fields.
package enum SecurityHeaders: String, Sendable, CaseIterable {
    case off
    /// `X-Content-Type-Options: nosniff`, `X-Frame-Options: DENY`, `X-XSS-Protection: 1; mode=block`.
    case classic
    /// The same, but for `X-XSS-Protection: 0` and a `Referrer-Policy`.
    case modern
}

package enum AccessLogFormat: String, Sendable, CaseIterable {
    case off
    case json
    /// HAProxy's `option httplog`.
    case httplog
}

/// How requests are logged, all or a random share of them.
package struct AccessLogRule: Sendable, Equatable {
    package var format: AccessLogFormat
    /// 0 to 1; what fails (5xx, or an end other than `done`) is logged whatever the share.
    package var sample: Double

    package init(_ format: AccessLogFormat, sample: Double = 1) {
        self.format = format
        self.sample = sample
    }
}

/// Metrics, pages and commands for operators.
package struct AdminConfiguration: Sendable, Equatable {
    package enum Role: String, Sendable, CaseIterable {
        /// Sees everything.
        case viewer
        /// May change states, weights and servers too.
        case `operator`
    }

    package struct User: Sendable, Equatable {
        package var name: String
        /// The file's first line is the password.
        package var passwordFile: String
        package var role: Role

        package init(name: String, passwordFile: String, role: Role) {
            self.name = name
            self.passwordFile = passwordFile
            self.role = role
        }
    }

    /// nil: no admin listener, the socket alone.
    package var bind: Endpoint?
    package var tls: ListenerTLS?
    /// The path of the Unix socket with HAProxy's commands.
    package var socket: String?
    /// Empty: everybody who can connect is an operator; allowed on loopback and Unix sockets only.
    package var users: [User] = []

    package init(bind: Endpoint? = Endpoint(host: "127.0.0.1", port: 9100)) {
        self.bind = bind
    }
}
