// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A published message that lies whole in the bytes at hand: `*3`, `$7 message`, channel, payload. It is what a subscriber reads
/// nearly all of its time, so it is recognised without hiredis. Whatever deviates by a byte is left to hiredis.
struct RESPPush {
    enum Recognition {
        case message(RESPPush)
        /// It is one so far; this many bytes, counted from its start, are needed to say more.
        case incomplete(needed: Int)
        case other
    }

    private static let prefix: StaticString = "*3\r\n$7\r\nmessage\r\n$"

    let channel: Range<Int>
    let payload: Range<Int>
    let end: Int

    /// A message longer than `limit` is `other`: hiredis' reader and its limits judge it.
    static func recognise(_ bytes: Span<UInt8>, from start: Int, limit: Int) -> Recognition {
        bytes.extracting(start..<bytes.count).withUnsafeBufferPointer { bytes in
            let prefix = prefix.utf8CodeUnitCount
            for index in 0..<min(prefix, bytes.count) where bytes[index] != Self.prefix.utf8Start[index] { return .other }
            var position = prefix
            let channel: Range<Int>
            switch bulk(bytes, lengthAt: position, limit: limit) {
            case .complete(let content): channel = content
            case .incomplete(let needed): return .incomplete(needed: needed)
            case .other: return .other
            }
            position = channel.upperBound + 2
            guard position < bytes.count else { return .incomplete(needed: position + 1) }
            guard bytes[position] == 0x24 else { return .other }
            switch bulk(bytes, lengthAt: position + 1, limit: limit) {
            case .complete(let payload):
                return .message(
                    RESPPush(
                        channel: channel.lowerBound + start..<channel.upperBound + start,
                        payload: payload.lowerBound + start..<payload.upperBound + start,
                        end: payload.upperBound + 2 + start
                    )
                )
            case .incomplete(let needed): return .incomplete(needed: needed)
            case .other: return .other
            }
        }
    }

    /// The same of a reply that hiredis put together.
    static func parts(of value: RESPValue) -> (channel: [UInt8], payload: [UInt8])? {
        guard case .array(let parts) = value, parts.count == 3, case .bulk(let kind) = parts[0], case .bulk(let channel) = parts[1],
            case .bulk(let payload) = parts[2], kind.elementsEqual("message".utf8)
        else { return nil }
        return (channel, payload)
    }

    private enum Bulk {
        case complete(Range<Int>)
        case incomplete(needed: Int)
        case other
    }

    /// Digits, CRLF, that many bytes, CRLF.
    private static func bulk(_ bytes: UnsafeBufferPointer<UInt8>, lengthAt start: Int, limit: Int) -> Bulk {
        var position = start
        var length = 0
        while position < bytes.count, ASCII.isDigit(bytes[position]) {
            // hiredis refuses leading zeros, so they are left to it.
            guard position == start || length > 0, length <= limit else { return .other }
            length = length * 10 + Int(bytes[position] - 0x30)
            position += 1
        }
        guard position < bytes.count else { return .incomplete(needed: max(position, bytes.count) + 1) }
        guard position > start else { return .other }
        let content = position + 2
        let end = content + length + 2
        guard end <= limit else { return .other }
        guard endsLine(bytes, position), endsLine(bytes, content + length) else { return .other }
        return end <= bytes.count ? .complete(content..<content + length) : .incomplete(needed: end)
    }

    /// True also where the bytes are not there yet.
    private static func endsLine(_ bytes: UnsafeBufferPointer<UInt8>, _ position: Int) -> Bool {
        (position >= bytes.count || bytes[position] == ASCII.carriageReturn)
            && (position + 1 >= bytes.count || bytes[position + 1] == ASCII.lineFeed)
    }
}
