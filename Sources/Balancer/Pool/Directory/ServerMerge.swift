// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A pool's servers as configuration, discovery and operators say together: the configured ones first, then whatever has a name and an
/// address that nobody before it has. A pure value.
package struct ServerMerge {
    package private(set) var servers: [(server: ServerConfiguration, origin: ServerStatus.Origin)] = []
    /// Those of `removed` that still keep something out. A server that was changed or left where it came from, and comes again, is another.
    package private(set) var removed: Set<ServerConfiguration> = []

    package init(
        configured: [ServerConfiguration],
        discovered: [ServerConfiguration],
        added: [ServerConfiguration],
        removed: Set<ServerConfiguration>
    ) {
        for server in configured { take(server, .configured, removed) }
        for server in discovered { take(server, .discovered, removed) }
        for server in added { take(server, .added, removed) }
    }

    private mutating func take(_ server: ServerConfiguration, _ origin: ServerStatus.Origin, _ out: Set<ServerConfiguration>) {
        if out.contains(server) {
            removed.insert(server)
            return
        }
        // Configured servers may share an address: that is what the operator wrote.
        let isTaken = servers.contains { $0.server.name == server.name || origin != .configured && $0.server.address == server.address }
        if !isTaken { servers.append((server, origin)) }
    }
}
