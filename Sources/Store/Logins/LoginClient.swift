// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor

/// Where a login comes from, as far as clients are told apart: an IPv4 address, the /64 of an IPv6 one, which one site has whole, or everybody
/// without an address.
package struct LoginClient: Hashable, Sendable, CustomStringConvertible {
    private enum Family: UInt8 {
        case v4, v6, none
    }

    private let bits: UInt64
    private let family: Family

    package init(_ address: SocketAddress?) {
        switch address?.unmapped {
        case .v4(let value, _)?: (bits, family) = (UInt64(value), .v4)
        case .v6(let bytes, _, _)?: (bits, family) = (bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }, .v6)
        case .unix?, nil: (bits, family) = (0, .none)
        }
    }

    /// For the log.
    package var description: String {
        switch family {
        case .v4: SocketAddress.v4(UInt32(truncatingIfNeeded: bits), port: 0).host
        case .v6:
            SocketAddress.v6((0..<16).map { $0 < 8 ? UInt8(truncatingIfNeeded: bits >> (56 - 8 * $0)) : 0 }, port: 0, scope: 0).host + "/64"
        case .none: "unix:"
        }
    }
}
