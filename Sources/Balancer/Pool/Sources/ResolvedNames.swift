// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor

/// Host names with the addresses they had last. A plain value.
package struct ResolvedNames: Sendable, Equatable {
    private var addresses: [String: [SocketAddress]] = [:]

    package init() {}

    /// True where that is news.
    package mutating func resolved(_ host: String, to found: [SocketAddress]) -> Bool {
        // Resolvers turn their answers round; the order means nothing.
        let hosts = Set(found.map(\.host)).sorted()
        let sorted = hosts.compactMap { SocketAddress(numeric: $0, port: 0) }
        guard addresses[host] != sorted else { return false }
        addresses[host] = sorted
        return true
    }

    package mutating func forget(allBut hosts: Set<String>) {
        addresses = addresses.filter { hosts.contains($0.key) }
    }

    /// A server whose name stands for several machines becomes as many, called `<name>-<address>`, so that every balancer calls each the
    /// same. One whose name stands for one machine stays as it is, and each connect looks its address up.
    package func spread(_ servers: [ServerConfiguration]) -> [ServerConfiguration] {
        servers.flatMap { server -> [ServerConfiguration] in
            guard case .tcp(let host, let port) = server.address.kind, let found = addresses[host], found.count > 1,
                // Both of a machine's own addresses are one machine.
                !found.allSatisfy(\.isLoopback)
            else { return [server] }
            return found.map { address in
                var single = server
                // 64 characters are a name's limit, and an address of IPv6 has 39.
                single.name = "\(server.name.prefix(24))-\(address.host.replacing(":", with: "_"))"
                single.address = Endpoint(host: address.host, port: port)
                return single
            }
        }
    }
}

extension Endpoint {
    /// The host where it is a name.
    var name: String? {
        guard case .tcp(let host, _) = kind, numeric == nil else { return nil }
        return host
    }
}

extension SocketAddress {
    /// It leads to this machine, and nowhere else.
    var isLoopback: Bool {
        switch unmapped {
        case .unix: true
        case .v4(let value, _): value >> 24 == 127
        case .v6(let bytes, _, _): bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
        }
    }
}
