// Keyvane
// SPDX-License-Identifier: Apache-2.0

extension JSONParser {
    /// Bytes between escapes are copied in runs; the text as a whole was found to be UTF-8 before.
    mutating func string() throws(Fault) -> String {
        position += 1
        var text: [UInt8] = []
        var clean = position
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                text.append(contentsOf: bytes[clean..<position])
                position += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                text.append(contentsOf: bytes[clean..<position])
                position += 1
                try escape(into: &text)
                clean = position
            case 0x00..<0x20:
                throw fault("a control character in text must be escaped")
            default:
                position += 1
            }
        }
        throw fault("a closing quote is missing")
    }

    private mutating func escape(into text: inout [UInt8]) throws(Fault) {
        guard let byte = next else { throw fault("an escape is cut off") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text.append(contentsOf: String(try escapedScalar()).utf8)
        default:
            position -= 1
            throw fault("an unknown escape")
        }
    }

    /// A scalar outside the basic plane is written as two escapes (RFC 8259, section 7); half of such a pair is no text.
    private mutating func escapedScalar() throws(Fault) -> Unicode.Scalar {
        let unit = try hexUnit()
        if let scalar = Unicode.Scalar(unit) { return scalar }
        // A low half can't come first.
        guard unit < 0xDC00, next == UInt8(ascii: "\\") else { throw fault("a lone surrogate") }
        position += 1
        guard next == UInt8(ascii: "u") else { throw fault("a lone surrogate") }
        position += 1
        let low = try hexUnit()
        guard (0xDC00...0xDFFF).contains(low),
            let scalar = Unicode.Scalar(0x10000 + (UInt32(unit - 0xD800) << 10 | UInt32(low - 0xDC00)))
        else { throw fault("a lone surrogate") }
        return scalar
    }

    private mutating func hexUnit() throws(Fault) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw fault("an escape needs four hexadecimal digits")
            }
            unit = unit << 4 | UInt16(digit)
            position += 1
        }
        return unit
    }
}
