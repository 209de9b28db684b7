// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// JSON string literals, written straight into a frame that is encoded once and sent many times.
package enum JSONText {
    private static let hexDigits: StaticString = "0123456789abcdef"

    /// The characters of a string literal, without its quotes.
    package static func append(escaping text: String, to out: inout [UInt8]) {
        var text = text
        text.withUTF8 { append(escaping: $0, to: &out) }
    }

    /// With quotes.
    package static func append(quoted text: String, to out: inout [UInt8]) {
        out.append(0x22)
        append(escaping: text, to: &out)
        out.append(0x22)
    }

    /// The bytes must be UTF-8; they come from a String or were validated on their way in.
    package static func append(escaping text: Span<UInt8>, to out: inout [UInt8]) {
        text.withUnsafeBufferPointer { append(escaping: $0, to: &out) }
    }

    private static func append(escaping text: UnsafeBufferPointer<UInt8>, to out: inout [UInt8]) {
        var clean = 0
        var position = 0
        while true {
            skipPlain(text, from: &position)
            if position > clean { out.append(contentsOf: UnsafeBufferPointer(rebasing: text[clean..<position])) }
            guard position < text.count else { return }
            appendEscape(text[position], to: &out)
            position += 1
            clean = position
        }
    }

    /// Stops at a control character, a quote or a backslash.
    private static func skipPlain(_ text: UnsafeBufferPointer<UInt8>, from position: inout Int) {
        let raw = UnsafeRawBufferPointer(text)
        while position + 8 <= text.count {
            let word = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            let low = (word &- 0x2020_2020_2020_2020) & ~word
            let quote = word ^ 0x2222_2222_2222_2222
            let backslash = word ^ 0x5C5C_5C5C_5C5C_5C5C
            let found =
                low | ((quote &- 0x0101_0101_0101_0101) & ~quote) | ((backslash &- 0x0101_0101_0101_0101) & ~backslash)
            if found & 0x8080_8080_8080_8080 != 0 { break }
            position += 8
        }
        while position < text.count {
            let byte = text[position]
            if byte < 0x20 || byte == 0x22 || byte == 0x5C { return }
            position += 1
        }
    }

    private static func appendEscape(_ byte: UInt8, to out: inout [UInt8]) {
        out.append(0x5C)
        switch byte {
        case 0x22, 0x5C: out.append(byte)
        case 0x08: out.append(0x62)
        case 0x09: out.append(0x74)
        case 0x0A: out.append(0x6E)
        case 0x0C: out.append(0x66)
        case 0x0D: out.append(0x72)
        default:
            out.append("u00")
            out.append(hexDigits.utf8Start[Int(byte >> 4)])
            out.append(hexDigits.utf8Start[Int(byte & 15)])
        }
    }
}
