// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A block of addresses, `10.0.0.0/8`, `fd00::/8` or a single address; `unix:` is every peer on a Unix socket.
package struct AddressRange: Sendable, Hashable, CustomStringConvertible {
    private enum Block: Hashable {
        case unix
        case bytes([UInt8], prefix: Int)
    }

    private let block: Block
    package let description: String

    /// Nil for what is no address range.
    package init?(_ text: String) {
        description = text
        if text == "unix:" {
            block = .unix
            return
        }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = SocketAddress(numeric: String(parts[0]), port: 0), let bytes = Self.bytes(address) else { return nil }
        var prefix = bytes.count * 8
        if parts.count == 2 {
            guard let given = Int(parts[1]), (0...prefix).contains(given) else { return nil }
            prefix = given
        }
        block = .bytes(bytes, prefix: prefix)
    }

    package func contains(_ address: SocketAddress) -> Bool {
        switch block {
        case .unix:
            if case .unix = address { return true }
            return false
        case .bytes(let network, let prefix):
            guard let bytes = Self.bytes(address), bytes.count == network.count else { return false }
            for index in 0..<prefix / 8 where bytes[index] != network[index] { return false }
            let rest = prefix % 8
            return rest == 0 || (bytes[prefix / 8] ^ network[prefix / 8]) >> UInt8(8 - rest) == 0
        }
    }

    /// An IPv4 client of an IPv6 socket comes as `::ffff:10.0.0.5`; it is the same client.
    private static func bytes(_ address: SocketAddress) -> [UInt8]? {
        switch address.unmapped {
        case .v4(let value, _): withUnsafeBytes(of: value.bigEndian) { Array($0) }
        case .v6(let bytes, _, _): bytes
        case .unix: nil
        }
    }
}

extension SocketAddress {
    /// IPv4 where the address is an IPv4-mapped IPv6 one.
    package var unmapped: SocketAddress {
        guard case .v6(let bytes, let port, _) = self, bytes.count == 16, bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF,
            bytes[11] == 0xFF
        else { return self }
        return .v4(bytes[12...].reduce(0) { $0 << 8 | UInt32($1) }, port: port)
    }
}
