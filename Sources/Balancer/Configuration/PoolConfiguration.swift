// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor

/// Servers that answer the same requests.
package struct PoolConfiguration: Sendable, Equatable {
    package enum Discovery: String, Sendable, CaseIterable {
        /// The instances that are registered in Redis under the pool's name as their role.
        case redis
    }

    package var name: String
    package var servers: [ServerConfiguration]
    package var discover: Set<Discovery> = []
    package var balance = BalanceConfiguration.roundRobin
    package var sticky: StickyConfiguration?
    package var health = HealthConfiguration()
    package var passive = PassiveConfiguration()
    package var slowStart = Duration.seconds(30)
    package var onMarkedDown = MarkedDownPolicy.paced(perSecond: 500)
    /// With every server down: send requests to all of them as if they were up, instead of answering 503.
    package var panic = false
    /// nil: plain TCP to the servers.
    package var tls: UpstreamTLS?
    package var headers = HeaderRules()
    /// Paths of HTML files by status.
    package var errorPages: [Int: String] = [:]

    /// Sticky by a cookie of the pool's name, as is the default where the algorithm is no hash.
    package init(name: String, servers: [ServerConfiguration]) {
        self.name = name
        self.servers = servers
        sticky = StickyConfiguration(pool: name)
    }
}

package struct ServerConfiguration: Sendable, Hashable {
    package var name: String
    /// A name that stands for several addresses stands for as many servers; it is looked up again and again.
    package var address: Endpoint
    /// 0 to 256; a server of weight 0 serves only clients that are pinned to it.
    package var weight: Int
    /// Exchanges and tunnels at once; 0 is no limit. What is above it waits in the pool's queue.
    package var maxConnections = 0
    /// What session ids end in, after a dot, where the pool is sticky by route.
    package var route: String?
    /// Used only while no other server is up.
    package var isBackup = false

    package init(name: String, address: Endpoint, weight: Int = 1) {
        self.name = name
        self.address = address
        self.weight = weight
    }
}

/// Whose turn it is.
package enum BalanceConfiguration: Sendable, Hashable {
    /// Smooth and weighted.
    case roundRobin
    /// By exchanges and tunnels per weight.
    case leastConnections
    /// Two at random, the less busy of them.
    case powerOfTwo
    /// Consistent; `boundedLoad`: no server gets more than this many times its share (above 1).
    case hash(HashKey, boundedLoad: Double?)
    case random
    /// The first one that is up and not full, in the configuration's order.
    case first
}

/// What of a request is hashed: the decoded first value. A request without one goes to the least busy server.
package enum HashKey: Sendable, Hashable {
    case uri
    case path
    case query(String)
    case header(String)
    case cookie(String)
    /// The trusted client address: all of IPv4, the /64 of IPv6.
    case ip
}

package struct StickyConfiguration: Sendable, Equatable {
    package enum Mode: String, Sendable, CaseIterable {
        /// A signed cookie of ours: inserted, taken off before the server sees it, not sent again while it is valid.
        case cookie
        /// A cookie that servers set, with a server's name in it.
        case passive
        /// A session id of the servers' that ends in `.<route>`.
        case route
        case ip
        case header
        case query
    }

    package enum OnDown: String, Sendable, CaseIterable {
        case rebalance
        /// 503 for clients of a known server that is down ("nofailover").
        case fail
    }

    package var mode = Mode.cookie
    /// Of the cookie, the header field or the parameter; unused with `ip`.
    package var name: String
    /// The URL parameter with the session id, in mode `route`.
    package var parameter: String?
    package var maxIdle = Duration.seconds(3600)
    package var maxLife = Duration.seconds(24 * 3600)
    package var onDown = OnDown.rebalance

    package init(pool: String) {
        name = "KEYVANE_" + pool.uppercased().replacing("-", with: "_").replacing(".", with: "_")
    }

    package init(mode: Mode, name: String, parameter: String? = nil) {
        self.mode = mode
        self.name = name
        self.parameter = parameter
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
    /// After the request for `path`, a WebSocket upgrade here and a ping, which must be answered; nil for none.
    package var webSocketPath: String?
    /// A file whose first line is the bearer token of that upgrade.
    package var webSocketTokenFile: String?

    package init() {}
}

/// What the traffic itself tells of a server.
package struct PassiveConfiguration: Sendable, Equatable {
    package var maxFails = 3
    package var failTimeout = Duration.seconds(30)
    package var maxEjectedPercent = 50

    package init() {}
}

/// What becomes of a server's tunnels when it is marked down.
package enum MarkedDownPolicy: Sendable, Hashable {
    case keep
    /// HAProxy's `on-marked-down shutdown-sessions`.
    case cut
    case paced(perSecond: Int)
}

/// TLS to the servers.
package struct UpstreamTLS: Sendable, Equatable {
    /// PEM files. Without `authorities` the system's are trusted; `certificate` and `key` are ours (mutual TLS).
    package var authorities: String?
    package var certificate: String?
    package var key: String?
    /// What the servers' certificates must be for, and SNI; nil: each server's host or address.
    package var serverName: String?

    package init() {}
}

/// Changes of header fields, in this order: remove, set, add. Names keep the case they have here.
package struct HeaderRules: Sendable, Equatable {
    package struct Changes: Sendable, Equatable {
        package struct Field: Sendable, Equatable {
            package var name: String
            package var value: String

            package init(_ name: String, _ value: String) {
                self.name = name
                self.value = value
            }
        }

        package var remove: [String] = []
        package var set: [Field] = []
        package var add: [Field] = []

        package init() {}
    }

    package var request = Changes()
    package var response = Changes()

    package init() {}
}
