// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation

/// The text of a token: `kv_<8 id characters>_<43 base64url characters>`, 256 random bits. Only its SHA-256 is stored.
package enum TokenText {
    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789")

    static func generate() -> (id: String, text: String) {
        var random = SystemRandomNumberGenerator()
        let id = String((0..<8).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] })
        let secret = SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }.base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
        return (id, "kv_\(id)_\(secret)")
    }

    /// The public part, which finds the row; nil for a text that is no token of ours.
    package static func id(of text: String) -> String? {
        let parts = text.split(separator: "_", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "kv", parts[1].utf8.count == 8, parts[2].utf8.count == 43 else { return nil }
        guard parts[1].utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }) else { return nil }
        return String(parts[1])
    }

    /// SHA-256 of the whole text.
    package static func hash(_ text: String) -> [UInt8] {
        Array(SHA256.hash(data: Data(text.utf8)))
    }

    /// Takes the same time wherever the two differ.
    static func matches(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
