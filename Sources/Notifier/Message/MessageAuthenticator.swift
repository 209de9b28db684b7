// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Wire

/// Makes and checks the code that tells our messages from anybody's: HMAC-SHA256 under a key that all processes of a cluster derive alike.
///
/// While master keys are being rotated, processes make it with different keys: the first one makes codes, all of them check.
package struct MessageAuthenticator: Sendable {
    /// Keyed once: a copy of it costs less than the key's two blocks for every message.
    private let keyed: [HMAC<SHA256>]

    package init(keys: [[UInt8]]) {
        precondition(!keys.isEmpty && keys.allSatisfy { !$0.isEmpty }, "a code needs a key")
        keyed = keys.map { HMAC<SHA256>(key: SymmetricKey(data: $0)) }
    }

    package init(key: [UInt8]) {
        self.init(keys: [key])
    }

    /// In hexadecimal.
    func code(for form: CanonicalForm) -> String {
        ByteText.hex(Self.authenticationCode(form, keyed[0]))
    }

    /// Compares in constant time, so that a wrong code doesn't tell where it began to be wrong.
    func isValid(_ mac: String, for form: CanonicalForm) -> Bool {
        guard let claimed = Self.bytes(hex: mac) else { return false }
        return keyed.contains { Self.authenticationCode(form, $0) == claimed }
    }

    private static func authenticationCode(_ form: CanonicalForm, _ keyed: HMAC<SHA256>) -> HMAC<SHA256>.MAC {
        var keyed = keyed
        keyed.update(data: form.bytes)
        return keyed.finalize()
    }

    private static func bytes(hex text: String) -> [UInt8]? {
        guard text.utf8.count == SHA256.byteCount * 2 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(SHA256.byteCount)
        var high: UInt8?
        for byte in text.utf8 {
            guard let digit = byte.hexValue else { return nil }
            if let upper = high {
                bytes.append(upper << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return bytes
    }
}

/// Fields as unambiguous bytes: each with its length in front, so that no two different messages have the same form. A value.
struct CanonicalForm {
    private(set) var bytes: [UInt8] = []

    init(kind: String, capacity: Int) {
        bytes.reserveCapacity(capacity)
        append(kind)
    }

    /// A missing text differs from an empty one.
    mutating func append(_ text: String?) {
        guard let text else {
            append(length: UInt32.max)
            return
        }
        append(length: UInt32(clamping: text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    mutating func append(_ number: Int64) {
        append(length: 8)
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func append(length: UInt32) {
        withUnsafeBytes(of: length.bigEndian) { bytes.append(contentsOf: $0) }
    }
}
