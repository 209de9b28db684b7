// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A pool as its operators see it at one moment.
package struct PoolStatus: Sendable {
    package let name: String
    package let configuration: PoolConfiguration
    /// In the order of the configuration; what was discovered or added at run time comes behind.
    package let servers: [ServerStatus]
    /// No server is up, and the pool's `panic` makes all of them be used.
    package let isPanicking: Bool
    /// Requests that wait for a server with a free place.
    package let queued: Int
}

/// A server as its operators see it at one moment.
package struct ServerStatus: Sendable {
    /// Where the pool knows it from.
    package enum Origin: String, Sendable {
        case configured
        case discovered
        /// By a command at run time.
        case added
    }

    /// The last active check.
    package struct Check: Sendable {
        package let passed: Bool
        /// `passed`, `draining`, or what went wrong.
        package let outcome: String
        package let milliseconds: Int
        package let secondsAgo: Int
    }

    /// How far an operator's drain has come.
    package struct Drain: Sendable {
        package let exchangesLeft: Int
        package let tunnelsLeft: Int
        /// Until pinned clients are served no more; 0 from then on.
        package let secondsToDeadline: Int
    }

    package let name: String
    package let address: String
    package let origin: Origin
    package let isBackup: Bool
    package let route: String?
    package let standing: ServerStanding
    package let administrative: AdministrativeState
    /// What made it stand as it does, and for how long it has.
    package let reason: String
    package let secondsInState: Int
    /// As configured or set by an operator, and as it counts right now.
    package let weight: Int
    package let effectiveWeight: Double
    /// 0 is no limit.
    package let maxConnections: Int
    package let effectiveMaxConnections: Int
    package let exchanges: Int
    package let tunnels: Int
    package let requests: Int
    /// Requests that wait for this very server.
    package let queued: Int
    /// Over all loops, since the balancer knows it.
    let traffic: TrafficTotals
    /// nil before the first check has ended.
    package let check: Check?
    package let checksFailed: Int
    package let downs: Int
    package let secondsDown: Int
    package let drain: Drain?
}
