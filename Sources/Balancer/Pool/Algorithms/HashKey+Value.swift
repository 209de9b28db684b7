// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
package import Wire

extension HashKey {
    /// What this request is hashed by; nil where it has no such value. `address` is the trusted client address.
    package func value(of head: RequestHead, in bytes: Span<UInt8>, address: () -> String) -> UInt64? {
        switch self {
        case .uri: StableHash.of(QueryParameters.percentDecoded(head.target, in: bytes, plusIsBlank: false))
        case .path: StableHash.of(QueryParameters.percentDecoded(head.path, in: bytes, plusIsBlank: false))
        case .query(let name): Self.hash(QueryParameters.first(name, of: head.query, in: bytes))
        case .header(let name): Self.hash(head.fields.string(name, in: bytes))
        case .cookie(let name): Self.hash(Cookies.first(name, of: head.fields, in: bytes).map { bytes.string($0) })
        case .ip: Self.hash(Self.network(of: address()))
        }
    }

    /// An empty value tells clients apart as little as none.
    private static func hash(_ value: String?) -> UInt64? {
        guard let value, !value.isEmpty else { return nil }
        return StableHash.of(value)
    }

    /// All of IPv4, the /64 of IPv6: the rest of it a client changes as it likes. Peers of a Unix socket have no address.
    static func network(of address: String) -> String? {
        guard let parsed = SocketAddress(numeric: address, port: 0)?.unmapped else { return nil }
        switch parsed {
        case .v4: return parsed.host
        case .v6(let bytes, _, _): return SocketAddress.v6(Array(bytes.prefix(8)) + Array(repeating: 0, count: 8), port: 0, scope: 0).host
        case .unix: return nil
        }
    }
}
