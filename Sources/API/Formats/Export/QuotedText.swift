// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Values as each format quotes them. All of it works on bytes, which leaves characters beyond ASCII as they are.
enum QuotedText {
    private static let hexDigits = Array("0123456789ABCDEF".utf8)

    /// Between single quotes a shell changes nothing; a single quote itself stands between two such texts.
    static func shell(_ value: String, into document: inout [UInt8]) {
        document.append(UInt8(ascii: "'"))
        for byte in value.utf8 {
            if byte == UInt8(ascii: "'") { document += "'\\''".utf8 } else { document.append(byte) }
        }
        document.append(UInt8(ascii: "'"))
    }

    /// In single quotes wherever every reader keeps them literally, else without quotes if most do, else with the escapes that our own
    /// parser knows: of text with single quotes or CRs readers have no common view.
    static func dotenv(_ value: String, into document: inout [UInt8]) {
        if isLiteralInSingleQuotes(value) {
            document.append(UInt8(ascii: "'"))
            document += value.utf8
            document.append(UInt8(ascii: "'"))
        } else if value.utf8.allSatisfy(isPlain) {
            document += value.utf8
        } else {
            document.append(UInt8(ascii: "\""))
            for byte in value.utf8 { appendEscaped(byte, into: &document) }
            document.append(UInt8(ascii: "\""))
        }
    }

    /// Backslashes among them: paths of Windows often end with one, before which some readers miss the closing quote.
    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`"), UInt8(ascii: "#"), UInt8(ascii: "$"): false
        case 0x21...0x7E: true
        case _: false
        }
    }

    /// Some readers take `\\` and `\'` for escapes in single quotes too, and all take a CR for a line break.
    private static func isLiteralInSingleQuotes(_ value: String) -> Bool {
        var isAfterBackslash = false
        for byte in value.utf8 {
            if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\r") { return false }
            if byte == UInt8(ascii: "\\"), isAfterBackslash { return false }
            isAfterBackslash = byte == UInt8(ascii: "\\")
        }
        return !isAfterBackslash
    }

    private static func appendEscaped(_ byte: UInt8, into document: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\n"): document += "\\n".utf8
        case UInt8(ascii: "\r"): document += "\\r".utf8
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "$"):
            document.append(UInt8(ascii: "\\"))
            document.append(byte)
        case _: document.append(byte)
        }
    }

    /// In double quotes, with everything as an escape that isn't printable in YAML 1.1 and 1.2 alike.
    static func yaml(_ value: String, into document: inout [UInt8]) {
        document.append(UInt8(ascii: "\""))
        for scalar in value.unicodeScalars {
            switch scalar.value {
            case 0x22, 0x5C:
                document.append(UInt8(ascii: "\\"))
                document.append(UInt8(truncatingIfNeeded: scalar.value))
            case 0x0A: document += "\\n".utf8
            case 0x0D: document += "\\r".utf8
            case 0x09: document += "\\t".utf8
            case 0x00...0x1F, 0x7F...0x9F: appendHex(scalar.value, "\\x", digits: 2, into: &document)
            // Line breaks of YAML 1.1, the byte order mark, and what is no character.
            case 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF: appendHex(scalar.value, "\\u", digits: 4, into: &document)
            case 0x20...0x7E: document.append(UInt8(truncatingIfNeeded: scalar.value))
            case _: document += UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
            }
        }
        document.append(UInt8(ascii: "\""))
    }

    private static func appendHex(_ value: UInt32, _ prefix: String, digits: Int, into document: inout [UInt8]) {
        document += prefix.utf8
        for place in (0..<digits).reversed() { document.append(hexDigits[Int(value >> UInt32(4 * place)) & 15]) }
    }
}
