// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The chunked transfer coding (RFC 9112 section 7.1), strictly: hexadecimal size, optional extensions, CRLF, data, CRLF,
/// and at the end trailers. Owned by a `BodyParser`. Refused: bare CR or LF, white space around the size, sizes above 2^60,
/// long extensions (a flood of them costs more than their data), trailers that would change what the message is.
package struct ChunkedBodyParser: Sendable {
    /// A size line is a few digits; extensions are allowed and nobody sends them.
    private static let longestExtension = 256
    private static let allExtensions = 8 << 10
    private static let trailerLimits = HeadLimits(bytes: 8 << 10, fields: 100)

    private enum State: UInt8 {
        case sizeStart, size, chunkExtension, sizeLineFeed, data, dataReturn, dataLineFeed, trailerStart, endLineFeed, trailers, complete
    }

    private var state = State.sizeStart
    private var remaining: UInt64 = 0
    private var sizeDigits = 0
    private var extensionBytes = 0
    private var extensionTotal = 0
    /// Trailer lines may come in pieces, and there is no buffer they could be ranges of: the rare message that has some pays
    /// for a copy.
    private var trailers = TrailerSection(limits: Self.trailerLimits)

    package init() {}

    package var isComplete: Bool { state == .complete }

    /// The trailers of a complete body, and the bytes that their ranges count in; nil where there are none.
    package var trailerFields: (fields: HTTPFields, bytes: [UInt8])? {
        trailers.fields.isEmpty || !isComplete ? nil : (trailers.fields, trailers.buffer)
    }

    package mutating func parse(_ bytes: Span<UInt8>, content: (Range<Int>) -> Void) throws(HTTPFault) -> BodyProgress {
        let consumed = try bytes.withUnsafeBufferPointer { (bytes) throws(HTTPFault) -> Int in
            try scan(bytes, content: content)
        }
        return state == .complete ? .complete(consumed: consumed) : .needsMore
    }

    private mutating func scan(_ bytes: UnsafeBufferPointer<UInt8>, content: (Range<Int>) -> Void) throws(HTTPFault) -> Int {
        var position = 0
        while position < bytes.count, state != .complete {
            let byte = bytes[position]
            switch state {
            case .data:
                let taken = Int(min(UInt64(bytes.count - position), remaining))
                content(position..<position + taken)
                position += taken
                remaining -= UInt64(taken)
                if remaining == 0 { state = .dataReturn }
            case .trailers:
                position += try trailers.scan(bytes, from: position)
                if trailers.isComplete { state = .complete }
            case .trailerStart where byte != ASCII.carriageReturn:
                state = .trailers
            case .sizeStart, .size, .chunkExtension, .sizeLineFeed, .dataReturn, .dataLineFeed, .trailerStart, .endLineFeed, .complete:
                try scanFraming(byte)
                position += 1
            }
        }
        return position
    }

    private mutating func scanFraming(_ byte: UInt8) throws(HTTPFault) {
        switch state {
        case .sizeStart:
            guard let digit = ASCII.hexValue(byte) else { throw byte == ASCII.lineFeed ? .bareLineFeed : .badChunk }
            remaining = UInt64(digit)
            sizeDigits = 1
            extensionBytes = 0
            state = .size
        case .size:
            try scanSize(byte)
        case .chunkExtension:
            try scanExtension(byte)
        case .sizeLineFeed:
            guard byte == ASCII.lineFeed else { throw .bareCarriageReturn }
            state = remaining == 0 ? .trailerStart : .data
        case .dataReturn:
            guard byte == ASCII.carriageReturn else { throw byte == ASCII.lineFeed ? .bareLineFeed : .badChunk }
            state = .dataLineFeed
        case .dataLineFeed:
            guard byte == ASCII.lineFeed else { throw .bareCarriageReturn }
            state = .sizeStart
        case .trailerStart:
            state = .endLineFeed
        case .endLineFeed:
            guard byte == ASCII.lineFeed else { throw .bareCarriageReturn }
            state = .complete
        case .data, .trailers, .complete:
            preconditionFailure("no framing byte is due in \(state)")
        }
    }

    private mutating func scanSize(_ byte: UInt8) throws(HTTPFault) {
        if let digit = ASCII.hexValue(byte) {
            sizeDigits += 1
            // Leading zeros count too: a size line of a megabyte of zeros is an attack, not a size.
            guard sizeDigits <= 15 else { throw .badChunk }
            remaining = remaining << 4 | UInt64(digit)
            return
        }
        switch byte {
        case ASCII.carriageReturn: state = .sizeLineFeed
        case ASCII.semicolon: state = .chunkExtension
        case ASCII.lineFeed: throw .bareLineFeed
        default: throw .badChunk
        }
    }

    private mutating func scanExtension(_ byte: UInt8) throws(HTTPFault) {
        switch byte {
        case ASCII.carriageReturn: state = .sizeLineFeed
        case ASCII.lineFeed: throw .bareLineFeed
        case ASCII.tab, 0x20...0x7E, 0x80...0xFF:
            extensionBytes += 1
            extensionTotal += 1
            guard extensionBytes <= Self.longestExtension, extensionTotal <= Self.allExtensions else { throw .chunkExtensionTooLong }
        default: throw .badChunk
        }
    }
}
