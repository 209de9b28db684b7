// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Body bytes pass through here on their way: it says which of them are content and where the message ends. Owned by the
/// exchange. It copies and keeps nothing, so it serves decoding (use the ranges) and forwarding (send what was consumed, verbatim) alike.
/// A body of no bytes is complete before the first byte: ask `isComplete` after the head. With `untilClose` the end of the
/// connection is the end of the body; with the others it is a truncated message.
package enum BodyParser: Sendable {
    case none
    case length(LengthBody)
    case chunked(ChunkedBodyParser)
    case untilClose

    package init(_ framing: BodyFraming) {
        switch framing {
        case .none: self = .none
        case .length(let length): self = .length(LengthBody(length))
        case .chunked: self = .chunked(ChunkedBodyParser())
        case .untilClose: self = .untilClose
        }
    }

    package var isComplete: Bool {
        switch self {
        case .none: true
        case .length(let body): body.remaining == 0
        case .chunked(let parser): parser.isComplete
        case .untilClose: false
        }
    }

    /// The content ranges of `bytes`, in order, go to `content`.
    package mutating func parse(_ bytes: Span<UInt8>, content: (Range<Int>) -> Void) throws(HTTPFault) -> BodyProgress {
        switch self {
        case .none:
            return .complete(consumed: 0)
        case .length(var body):
            let progress = body.parse(bytes, content: content)
            self = .length(body)
            return progress
        case .chunked(var parser):
            // Emptied for the time being, so that the trailer's buffer has one owner and is not copied.
            self = .none
            defer { self = .chunked(parser) }
            return try parser.parse(bytes, content: content)
        case .untilClose:
            if !bytes.isEmpty { content(0..<bytes.count) }
            return .needsMore
        }
    }

    /// For forwarding verbatim: only where the message ends.
    package mutating func advance(_ bytes: Span<UInt8>) throws(HTTPFault) -> BodyProgress {
        try parse(bytes) { _ in }
    }
}
