// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Apply: from one configuration to another while everything runs.
// Flows through: a configuration that was judged as a whole -> sockets for new listeners, before anything else changes -> pools and the
//   loops' settings in one turn of the control loop -> listeners.
// Owner: `BalancerService`; one change at a time, in the order of asking.
// Must hold: what can fail comes first, and then nothing has changed; what doesn't differ isn't touched; no tunnel and no exchange ends
//   because of it.

/// What became of an attempt to change the configuration; also the label it is counted under.
package enum ConfigurationReload: String, Sendable, CaseIterable {
    case applied
    /// It says what it said before; files it refers to were read again all the same.
    case unchanged
    /// Nothing was changed: it is faulty, or a port could not be bound.
    case refused
}

/// What two configurations differ in.
package struct ConfigurationDifference: Sendable, Equatable {
    /// `listeners`, `pools.api.servers`, `limits`, … in the file's order.
    package private(set) var keys: [String] = []

    package var isEmpty: Bool { keys.isEmpty }
    var hasListeners: Bool { keys.contains("listeners") }

    package init(from old: BalancerConfiguration, to new: BalancerConfiguration) {
        note("listeners", old.listeners != new.listeners)
        note("admin", old.admin != new.admin)
        note("trusted_proxies", old.trustedProxies != new.trustedProxies)
        note("security_headers", old.securityHeaders != new.securityHeaders)
        note("access_log", old.accessLog != new.accessLog)
        for pool in new.pools {
            guard let before = old.pools.first(where: { $0.name == pool.name }) else {
                keys.append("pools.\(pool.name)")
                continue
            }
            note("pools.\(pool.name).servers", before.servers != pool.servers)
            var rest = before
            rest.servers = pool.servers
            note("pools.\(pool.name)", rest != pool)
        }
        for pool in old.pools where !new.pools.contains(where: { $0.name == pool.name }) { keys.append("pools.\(pool.name)") }
        note("routes", old.routes != new.routes)
        note("sticky_keys_file", old.stickyKeys != new.stickyKeys)
        note("limits", old.limits != new.limits)
        note("user", old.user != new.user || old.group != new.group)
    }

    private mutating func note(_ key: String, _ differs: Bool) {
        if differs { keys.append(key) }
    }
}
