// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// UTF-8 in pieces (Unicode 15 table 3-7): fails at the first byte that cannot be part of any valid text, so neither overlong
/// forms nor surrogates nor anything above U+10FFFF get further than their second byte.
package struct UTF8Validator: Sendable, Equatable {
    /// Continuation bytes that are due, and what the next one may be.
    private var due: UInt8 = 0
    private var lowest: UInt8 = 0x80
    private var highest: UInt8 = 0xBF

    package init() {}

    /// No character is cut off here.
    package var isComplete: Bool { due == 0 }

    /// False as soon as the text can't become valid any more.
    package mutating func validate(_ bytes: Span<UInt8>) -> Bool {
        bytes.withUnsafeBufferPointer { validate($0) }
    }

    mutating func validate(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let raw = UnsafeRawBufferPointer(bytes)
        var position = 0
        while position < bytes.count {
            if due == 0 {
                while position + 8 <= bytes.count,
                    raw.loadUnaligned(fromByteOffset: position, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
                {
                    position += 8
                }
                guard position < bytes.count else { return true }
            }
            guard accept(bytes[position]) else { return false }
            position += 1
        }
        return true
    }

    /// A whole text at once.
    package static func isValid(_ bytes: Span<UInt8>) -> Bool {
        bytes.withUnsafeBufferPointer { isValid($0) }
    }

    static func isValid(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var validator = UTF8Validator()
        return validator.validate(bytes) && validator.isComplete
    }

    @inline(__always)
    private mutating func accept(_ byte: UInt8) -> Bool {
        if due > 0 {
            guard byte >= lowest, byte <= highest else { return false }
            due -= 1
            (lowest, highest) = (0x80, 0xBF)
            return true
        }
        switch byte {
        case 0x00...0x7F: return true
        case 0xC2...0xDF: due = 1
        case 0xE0: (due, lowest) = (2, 0xA0)
        case 0xED: (due, highest) = (2, 0x9F)
        case 0xE1...0xEF: due = 2
        case 0xF0: (due, lowest) = (3, 0x90)
        case 0xF1...0xF3: due = 3
        case 0xF4: (due, highest) = (3, 0x8F)
        default: return false
        }
        return true
    }
}
