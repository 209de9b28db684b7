// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// permessage-deflate without context takeover (RFC 7692).
extension WebSocketRule {
    static let compression: [WebSocketRule] = [
        rule("a compressed message", "6.2", frame(0xC1, packed), [.answer]),
        rule(
            "three compressed messages",
            "7.2.3",
            frame(0xC1, packed) + frame(0xC1, packed) + frame(0xC1, packed),
            [.answer, .answer, .answer]
        ),
        rule("a message that is not compressed", "6", frame(0x81, message), [.answer]),
        rule(
            "one that is, between two that are not",
            "6",
            frame(0x81, message) + frame(0xC1, packed) + frame(0x81, message),
            [.answer, .answer, .answer]
        ),
        rule("compressed fragments", "6.1", frame(0x41, Array(packed[..<9])) + frame(0x00) + frame(0x80, Array(packed[9...])), [.answer]),
        rule(
            "a fragment a byte",
            "6.1",
            frame(0x41) + packed.flatMap { frame(0x00, [$0]) } + frame(0x80),
            [.answer]
        ),
        rule(
            "a ping between compressed fragments",
            "6.1",
            frame(0x41, Array(packed[..<9])) + frame(0x89, [3]) + frame(0x80, Array(packed[9...])),
            [.pong([3]), .answer]
        ),
        rule("a block without compression", "7.2.3.3", frame(0xC1, stored(isLast: false)), [.answer]),
        rule("a final block", "7.2.3.4", frame(0xC1, stored(isLast: true)), [.answer]),
        rule("the bit on a continuation", "6.1", frame(0x41, Array(packed[..<9])) + frame(0xC0, Array(packed[9...])), [], .closed(1002)),
        rule("the bit on a continuation of plain text", "6.1", frame(0x01, "{") + frame(0xC0, packed), [], .closed(1002)),
        rule("the bit on a ping", "6.1", frame(0xC9), [], .closed(1002)),
        rule("the bit on a pong", "6.1", frame(0xCA), [], .closed(1002)),
        rule("the bit on a close", "6.1", frame(0xC8, [0x03, 0xE8]), [], .closed(1002)),
        rule("another bit", "6", frame(0xA1, packed), [], .closed(1002)),
        rule("both bits", "6", frame(0xE1, packed), [], .closed(1002)),
        rule("a block type that does not exist", "7.2.2", frame(0xC1, [0x07]), [], .closed(1007)),
        rule("a block that breaks off", "7.2.2", frame(0xC1, [0xF2, 0x48, 0xCD]), [], .closed(1007)),
        rule(
            "the window of the message before",
            "7.2.3.2",
            frame(0xC1, packed) + frame(0xC1, [0xF2, 0x00, 0x11, 0x00, 0x00]),
            [.answer],
            .closed(1007)
        ),
        rule("compressed bytes that are no text", "6.2", frame(0xC1, deflated([0x61, 0xFF])), [], .closed(1007)),
        rule(
            "a small message that becomes a large one",
            "8",
            isOfWatch: true,
            frame(0xC1, deflated(message(of: 65_537))),
            [],
            .closed(1009)
        ),
        rule("one that just fits", "8", frame(0xC1, deflated(message(of: 65_536))), [.answer]),
    ]

    private static func rule(
        _ name: String,
        _ section: String,
        isOfWatch: Bool = false,
        _ bytes: [UInt8],
        _ replies: [Reply],
        _ ending: Ending = .open
    ) -> WebSocketRule {
        WebSocketRule(name, "RFC 7692 \(section)", isDeflated: true, isOfWatch: isOfWatch, bytes, replies, ending)
    }

    private static let packed = deflated([UInt8](message.utf8))

    private static func deflated(_ bytes: [UInt8]) -> [UInt8] {
        guard let deflater = Deflater() else { preconditionFailure("no memory for a deflater") }
        return deflater.compress(bytes.span)
    }

    private static func stored(isLast: Bool) -> [UInt8] {
        let text = [UInt8](message.utf8)
        let length = UInt8(text.count)
        // RFC 1951 section 3.2.4, and the padding of RFC 7692 behind it.
        return [isLast ? 1 : 0, length, 0, ~length, 0xFF] + text + [0]
    }
}
