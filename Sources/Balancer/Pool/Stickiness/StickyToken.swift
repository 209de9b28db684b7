// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Wire

/// What a sticky cookie says: a server by a keyed tag, when the pin began, when it ends. Times are seconds since 1970.
package struct StickyToken: Sendable, Equatable {
    package let tag: UInt64
    package let issued: UInt32
    package let expires: UInt32

    package init(tag: UInt64, issued: UInt32, expires: UInt32) {
        self.tag = tag
        self.issued = issued
        self.expires = expires
    }
}

/// Writes and reads one pool's tokens: version, key id, tag, issued, expires, and 16 bytes of HMAC-SHA256 over them, as base64url.
package struct StickySigner: Sendable {
    private static let version: UInt8 = 1
    private static let contentLength = 18
    private static let macLength = 16
    package static let textLength = ((contentLength + macLength) * 8 + 5) / 6

    private struct PoolKey: Sendable {
        let id: UInt8
        let tag: SymmetricKey
        let mac: SymmetricKey
    }

    private let keys: [PoolKey]
    private let identity = VerifiedTokens.Signer()

    /// Keys are derived for the pool, so a cookie of one pool is forged in every other.
    package init(_ ring: StickyKeyRing, pool: String) {
        keys = ring.keys.map { key in
            PoolKey(
                id: key.id,
                tag: Self.derived(key.secret, "keyvane sticky tag 1 " + pool),
                mac: Self.derived(key.secret, "keyvane sticky mac 1 " + pool)
            )
        }
    }

    /// Is this one of ours, as far as that can be said without a key?
    package static func isLikeToken(_ text: Span<UInt8>) -> Bool {
        guard text.count == textLength, let bytes = Base64Text.decode(text) else { return false }
        return bytes[0] == version
    }

    package var keyCount: Int { keys.count }

    /// Stands for the server in tokens of this key.
    package func tag(of server: String, key: Int = 0) -> UInt64 {
        HMAC<SHA256>.authenticationCode(for: Array(server.utf8), using: keys[key].tag).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
    }

    package func sign(_ token: StickyToken) -> String {
        var bytes: [UInt8] = [Self.version, keys[0].id]
        bytes.reserveCapacity(Self.contentLength + Self.macLength)
        withUnsafeBytes(of: token.tag) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: token.issued.bigEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: token.expires.bigEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: HMAC<SHA256>.authenticationCode(for: bytes, using: keys[0].mac).prefix(Self.macLength))
        return ByteText.base64URL(bytes)
    }

    /// The token and the key it was signed with; nil where no key of the ring vouches for it. `memory` is the loop's.
    package func verify(_ text: Span<UInt8>, with memory: VerifiedTokens? = nil) -> (token: StickyToken, key: Int)? {
        guard text.count == Self.textLength else { return nil }
        if let known = memory?.known(text, to: identity) { return known }
        guard let verified = authenticated(text) else { return nil }
        memory?.verified(text, verified.token, key: verified.key, by: identity)
        return verified
    }

    private func authenticated(_ text: Span<UInt8>) -> (token: StickyToken, key: Int)? {
        guard let bytes = Base64Text.decode(text), bytes[0] == Self.version else { return nil }
        // Ids are one byte: two keys may share one, so every match is tried.
        for (index, key) in keys.enumerated() where key.id == bytes[1] {
            let content = bytes[..<Self.contentLength]
            let expected = HMAC<SHA256>.authenticationCode(for: content, using: key.mac)
            if Self.isEqual(expected, bytes[Self.contentLength...]) { return (Self.token(bytes), index) }
        }
        return nil
    }

    private static func token(_ bytes: [UInt8]) -> StickyToken {
        bytes.withUnsafeBytes { raw in
            StickyToken(
                tag: raw.loadUnaligned(fromByteOffset: 2, as: UInt64.self),
                issued: UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 10, as: UInt32.self)),
                expires: UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 14, as: UInt32.self))
            )
        }
    }

    /// Takes the same time wherever the first difference is.
    private static func isEqual(_ code: HMAC<SHA256>.MAC, _ given: ArraySlice<UInt8>) -> Bool {
        code.withUnsafeBytes { code in
            var difference: UInt8 = 0
            for (index, byte) in given.enumerated() { difference |= code[index] ^ byte }
            return difference == 0
        }
    }

    private static func derived(_ secret: SymmetricKey, _ purpose: String) -> SymmetricKey {
        SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array(purpose.utf8), using: secret))
    }
}
