// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Reads JSON (RFC 8259) token by token, strictly and without Foundation: tens of thousands of messages a second pass here on a feed loop.
/// A value over bytes that its caller holds for the scan. Each method returns nil or false for what isn't there; the caller then gives up.
package struct JSONScanner {
    private let text: UnsafeBufferPointer<UInt8>
    private var position = 0

    package init(_ text: UnsafeBufferPointer<UInt8>) {
        self.text = text
    }

    private mutating func skipBlanks() {
        while position < text.count {
            switch text[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    /// Takes a bracket, comma or colon, with the blanks before it.
    package mutating func takeStructure(_ byte: UInt8) -> Bool {
        skipBlanks()
        guard position < text.count, text[position] == byte else { return false }
        position += 1
        return true
    }

    /// Only blanks are left.
    package mutating func isAtEnd() -> Bool {
        skipBlanks()
        return position == text.count
    }

    /// A member's name and its colon, as the range of its bytes. A name with escapes is none of ours: nil.
    package mutating func key() -> Range<Int>? {
        guard takeStructure(UInt8(ascii: "\"")) else { return nil }
        let start = position
        guard skipPlain(), text[position] == UInt8(ascii: "\"") else { return nil }
        let range = start..<position
        position += 1
        return takeStructure(UInt8(ascii: ":")) ? range : nil
    }

    package mutating func takeNull() -> Bool { takeLiteral("null") }

    package mutating func boolean() -> Bool? {
        if takeLiteral("true") { return true }
        if takeLiteral("false") { return false }
        return nil
    }

    private mutating func takeLiteral(_ literal: StaticString) -> Bool {
        skipBlanks()
        let length = literal.utf8CodeUnitCount
        guard text.count - position >= length, text[position..<position + length].elementsEqual(literal.bytes) else { return false }
        position += length
        return true
    }

    /// A whole number that fits; fractions and exponents are refused, also where they make a whole number.
    package mutating func integer() -> Int64? {
        skipBlanks()
        let isNegative = position < text.count && text[position] == UInt8(ascii: "-")
        if isNegative { position += 1 }
        let start = position
        var value: Int64 = 0
        while position < text.count, case let digit = text[position] &- UInt8(ascii: "0"), digit < 10 {
            let (shifted, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, isOver) =
                isNegative ? shifted.subtractingReportingOverflow(Int64(digit)) : shifted.addingReportingOverflow(Int64(digit))
            guard !isTooLarge, !isOver else { return nil }
            value = sum
            position += 1
        }
        let digits = position - start
        guard digits > 0, digits == 1 || text[start] != UInt8(ascii: "0") else { return nil }
        if position < text.count {
            switch text[position] {
            case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): return nil
            default: break
            }
        }
        return value
    }

    // MARK: Strings

    /// A string's value. Bytes that aren't UTF-8, bare control characters and halves of surrogate pairs are refused.
    package mutating func string() -> String? {
        guard takeStructure(UInt8(ascii: "\"")) else { return nil }
        let start = position
        guard skipPlain() else { return nil }
        if text[position] == UInt8(ascii: "\"") {
            defer { position += 1 }
            return String(validating: UnsafeBufferPointer(rebasing: text[start..<position]), as: UTF8.self)
        }
        return escapedString(from: start)
    }

    /// To the next quote, backslash or control character; false at the end of the text or at a control character.
    private mutating func skipPlain() -> Bool {
        while position < text.count {
            let byte = text[position]
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return true }
            if byte < 0x20 { return false }
            position += 1
        }
        return false
    }

    private mutating func escapedString(from start: Int) -> String? {
        var value: [UInt8] = []
        var plain = start
        while true {
            value.append(contentsOf: text[plain..<position])
            let isEnd = text[position] == UInt8(ascii: "\"")
            position += 1
            if isEnd { return String(validating: value, as: UTF8.self) }
            guard appendEscaped(to: &value) else { return nil }
            plain = position
            guard skipPlain() else { return nil }
        }
    }

    private mutating func appendEscaped(to value: inout [UInt8]) -> Bool {
        guard position < text.count else { return false }
        let byte = text[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): value.append(byte)
        case UInt8(ascii: "b"): value.append(0x08)
        case UInt8(ascii: "f"): value.append(0x0C)
        case UInt8(ascii: "n"): value.append(0x0A)
        case UInt8(ascii: "r"): value.append(0x0D)
        case UInt8(ascii: "t"): value.append(0x09)
        case UInt8(ascii: "u"):
            guard let scalar = escapedScalar() else { return false }
            value.append(contentsOf: String(Character(scalar)).utf8)
        default: return false
        }
        return true
    }

    /// After `\u`; a high surrogate takes its low half with it.
    private mutating func escapedScalar() -> Unicode.Scalar? {
        guard let first = codeUnit() else { return nil }
        guard UTF16.isLeadSurrogate(first) else { return Unicode.Scalar(first) }
        guard text.count - position >= 2, text[position] == UInt8(ascii: "\\"), text[position + 1] == UInt8(ascii: "u") else { return nil }
        position += 2
        guard let second = codeUnit(), UTF16.isTrailSurrogate(second) else { return nil }
        return Unicode.Scalar(0x1_0000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))
    }

    private mutating func codeUnit() -> UInt16? {
        guard text.count - position >= 4 else { return nil }
        var unit: UInt16 = 0
        for offset in 0..<4 {
            guard let digit = text[position + offset].hexValue else { return nil }
            unit = unit << 4 | UInt16(digit)
        }
        position += 4
        return unit
    }
}
