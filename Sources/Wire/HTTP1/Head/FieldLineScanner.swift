// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Finds the header (or trailer) lines, byte by byte where it must and eight at a time where it can. Owned by a head parser.
/// It is told the same contiguous bytes again with more at the end, and goes on where it stopped: nothing is scanned twice.
struct FieldLineScanner: Sendable {
    enum Step {
        /// All bytes are used up.
        case needsMore
        /// A line ended; `name` and `value` are its parts.
        case field
        /// The empty line after the last field was read.
        case end
    }

    private enum State: UInt8 {
        case lineStart, name, padding, value, lineFeed, lastLineFeed
    }

    private var state = State.lineStart
    private var nameStart = 0
    private var nameEnd = 0
    private var valueStart = 0
    private var valueEnd = 0

    var name: Range<Int> { nameStart..<nameEnd }
    var value: Range<Int> { valueStart..<valueEnd }

    mutating func scan(
        _ bytes: UnsafeBufferPointer<UInt8>,
        from position: inout Int,
        to end: Int
    ) throws(HTTPFault) -> Step {
        while position < end {
            switch state {
            case .lineStart:
                try lineStarted(bytes[position], at: &position)
            case .name:
                while position < end, ASCII.isToken(bytes[position]) { position += 1 }
                if position < end { try nameEnded(bytes[position], at: &position) }
            case .padding:
                while position < end, ASCII.isBlank(bytes[position]) { position += 1 }
                if position < end {
                    valueStart = position
                    state = .value
                }
            case .value:
                Self.skipValue(bytes, from: &position, to: end)
                if position < end { try valueEnded(bytes, at: &position) }
            case .lineFeed:
                guard bytes[position] == ASCII.lineFeed else { throw .bareCarriageReturn }
                position += 1
                state = .lineStart
                return .field
            case .lastLineFeed:
                guard bytes[position] == ASCII.lineFeed else { throw .bareCarriageReturn }
                position += 1
                state = .lineStart
                return .end
            }
        }
        return .needsMore
    }

    private mutating func lineStarted(_ byte: UInt8, at position: inout Int) throws(HTTPFault) {
        switch byte {
        case ASCII.carriageReturn:
            position += 1
            state = .lastLineFeed
        case ASCII.lineFeed: throw .bareLineFeed
        case ASCII.space, ASCII.tab: throw .foldedLine
        case ASCII.colon: throw .emptyFieldName
        default:
            nameStart = position
            state = .name
        }
    }

    private mutating func nameEnded(_ byte: UInt8, at position: inout Int) throws(HTTPFault) {
        switch byte {
        case ASCII.colon:
            nameEnd = position
            position += 1
            state = .padding
        case ASCII.space, ASCII.tab: throw .spaceBeforeColon
        case ASCII.lineFeed: throw .bareLineFeed
        default: throw .badFieldName
        }
    }

    private mutating func valueEnded(_ bytes: UnsafeBufferPointer<UInt8>, at position: inout Int) throws(HTTPFault) {
        switch bytes[position] {
        case ASCII.carriageReturn:
            valueEnd = ASCII.trimmed(bytes, valueStart..<position).upperBound
            position += 1
            state = .lineFeed
        case ASCII.lineFeed: throw .bareLineFeed
        default: throw .badFieldValue
        }
    }

    /// Stops at the first control character other than a tab. obs-text (0x80 and above) is allowed by RFC 9110 section 5.5.
    static func skipValue(_ bytes: UnsafeBufferPointer<UInt8>, from position: inout Int, to end: Int) {
        let raw = UnsafeRawBufferPointer(bytes)
        while position < end {
            while position + 8 <= end {
                let word = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                // Some byte below 0x20, or equal to 0x7F: the classic tests for a zero byte, shifted.
                let low = (word &- 0x2020_2020_2020_2020) & ~word
                let delete = word ^ 0x7F7F_7F7F_7F7F_7F7F
                let found = low | ((delete &- 0x0101_0101_0101_0101) & ~delete)
                if found & 0x8080_8080_8080_8080 != 0 { break }
                position += 8
            }
            guard position < end else { return }
            let byte = bytes[position]
            if byte < 0x20 && byte != ASCII.tab || byte == 0x7F { return }
            position += 1
        }
    }
}
