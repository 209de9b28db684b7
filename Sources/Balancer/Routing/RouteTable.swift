// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Routing: which pool a request goes to, and what its head becomes on the way.
// Flows through: a parsed head -> `RouteTable` -> `RequestRewriter`; a server's head -> `ResponseRewriter`.
// Owner: tables are immutable values shared by all loops; the rewriters own nothing and append to the caller's buffer.
// Must hold: fields that belong to one hop end there, and are gone before ours are added; what an untrusted peer says of
//   addresses is dropped.

import Wire

/// Host and path to a pool: the first route that matches, in the order of the configuration. Immutable.
package struct RouteTable: Sendable {
    private struct Entry: Sendable {
        let host: [UInt8]?
        let path: [UInt8]
        let pool: Int
    }

    private let entries: [Entry]

    /// `pools` are the names in the order of their indices; validation has made sure that each route's pool is among them.
    package init(_ routes: [RouteConfiguration], pools: [String]) {
        entries = routes.compactMap { route in
            guard let pool = pools.firstIndex(of: route.pool) else { return nil }
            let host = route.host.flatMap { $0 == "*" ? nil : Array($0.lowercased().utf8) }
            return Entry(host: host, path: Array(route.path.utf8), pool: pool)
        }
    }

    /// The pool's index; nil where no route matches. `host` is the field's value with or without a port.
    package func pool(path: Range<Int>, host: Range<Int>?, in bytes: Span<UInt8>) -> Int? {
        for entry in entries where Self.matches(entry.path, bytes.extracting(path)) {
            guard let wanted = entry.host else { return entry.pool }
            if let host, Self.matches(host: wanted, bytes.extracting(host)) { return entry.pool }
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
