// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

extension RateLimiter {
    /// Whose bucket a request draws from. `address` is asked only where no token counts.
    func key(_ head: RequestHead, in bytes: Span<UInt8>, address: () -> String) -> UInt64 {
        if configuration.key == .token {
            if let token = Self.bearer(head, bytes) { return Self.hash(1, bytes.extracting(token)) }
            if let token = QueryParameters.first("access_token", of: head.query, in: bytes), !token.isEmpty {
                return Self.hash(1, Array(token.utf8).span)
            }
        }
        return Self.hash(2, Self.client(address()).span)
    }

    /// Without the scheme, so that the same token counts as one wherever it stands.
    private static func bearer(_ head: RequestHead, _ bytes: Span<UInt8>) -> Range<Int>? {
        guard let value = head.fields.first(.authorization), value.count > 7,
            bytes.equalsIgnoringCase(value.lowerBound..<value.lowerBound + 7, "bearer ")
        else { return nil }
        return value.lowerBound + 7..<value.upperBound
    }

    /// All of IPv4; of IPv6 the /64, which is what one household has.
    private static func client(_ address: String) -> [UInt8] {
        switch SocketAddress(numeric: address, port: 0)?.unmapped {
        case .v6(let bytes, _, _)?: Array(bytes.prefix(8))
        case .v4(let value, _)?: withUnsafeBytes(of: value) { Array($0) }
        case .unix?, nil: Array(address.utf8)
        }
    }

    private static func hash(_ kind: UInt8, _ bytes: Span<UInt8>) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(kind)
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }
}
