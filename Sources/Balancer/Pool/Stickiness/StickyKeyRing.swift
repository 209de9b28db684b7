// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Stickiness: a client comes back to the server it had, by a signed cookie.
// Flows through: a cookie's text becomes a pin (`StickyTable`), a pin and the chosen server become a new cookie or none (`StickyPolicy`).
// Owner: the key ring is the configuration's; a table belongs to one snapshot of a pool. All are immutable values.
// Must hold: balancers with one key ring read each other's cookies alike; nothing in a cookie tells a server's name or address to
//   anybody without the key; a cookie that doesn't verify never chooses a server.

import Crypto

/// The keys under the sticky cookies: the first signs, all verify, so a key is rotated by putting the new one first.
package struct StickyKeyRing: Sendable, Equatable {
    struct Key: Sendable, Equatable {
        /// Tells which key a token was signed with, so that each token costs one MAC.
        let id: UInt8
        let secret: SymmetricKey
    }

    let keys: [Key]

    /// Keys are base64 of 32 random bytes, between commas or line ends, with or without a name and a colon before them.
    /// Lines that begin with `#` are comments.
    package init(parsing text: String) throws(BalancerError) {
        let parts = text.split { $0 == "," || $0.isNewline }.map { $0.trimmed }.filter { !$0.isEmpty && !$0.hasPrefix("#") }
        var keys: [Key] = []
        for (index, part) in parts.enumerated() {
            let encoded = part.lastIndex(of: ":").map { part[part.index(after: $0)...] } ?? part
            guard let bytes = Base64Text.decode(Array(encoded.utf8).span), bytes.count == 32 else {
                throw BalancerError(.stickyKeysInvalid, "sticky key \(index + 1) is not base64 of 32 bytes")
            }
            keys.append(Self.key(bytes))
        }
        guard !keys.isEmpty else { throw BalancerError(.stickyKeysInvalid, "there is no sticky key; write base64 of 32 random bytes") }
        self.keys = keys
    }

    private init(keys: [Key]) {
        self.keys = keys
    }

    /// One key that nobody else has.
    package static func random() -> StickyKeyRing {
        var generator = SystemRandomNumberGenerator()
        return StickyKeyRing(keys: [key((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })])
    }

    private static func key(_ bytes: [UInt8]) -> Key {
        let id = SHA256.hash(data: Array("keyvane sticky key id".utf8) + bytes).first { _ in true } ?? 0
        return Key(id: id, secret: SymmetricKey(data: bytes))
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        let start = drop { $0.isWhitespace }
        guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return start[...last]
    }
}
