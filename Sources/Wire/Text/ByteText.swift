// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Bytes as text: hexadecimal, base64 and base64url (RFC 4648).
package enum ByteText {
    private static let hexDigits: StaticString = "0123456789abcdef"
    private static let base64Digits: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    private static let base64URLDigits: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    package static func hex(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            text.append(hexDigits.utf8Start[Int(byte >> 4)])
            text.append(hexDigits.utf8Start[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// With padding.
    package static func base64(_ bytes: [UInt8]) -> String {
        encoded(bytes, base64Digits, padded: true)
    }

    /// Without padding.
    package static func base64URL(_ bytes: [UInt8]) -> String {
        encoded(bytes, base64URLDigits, padded: false)
    }

    private static func encoded(_ bytes: [UInt8], _ digits: StaticString, padded: Bool) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group = UInt32(bytes[index]) << 16
            if count > 1 { group |= UInt32(bytes[index + 1]) << 8 }
            if count > 2 { group |= UInt32(bytes[index + 2]) }
            for digit in 0...count {
                text.append(digits.utf8Start[Int(group >> UInt32(18 - 6 * digit) & 63)])
            }
            if padded { text.append(contentsOf: repeatElement(ASCII.equals, count: 3 - count)) }
            index += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    static func isBase64(_ byte: UInt8) -> Bool {
        byte == 0x2B || byte == 0x2F || ASCII.isDigit(byte) || (byte | 0x20) &- 0x61 < 26
    }
}
