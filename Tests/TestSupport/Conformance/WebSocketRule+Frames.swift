// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Frames, fragments and control frames (sections 5.2 to 5.5).
extension WebSocketRule {
    static let framing: [WebSocketRule] =
        sizes + [
            WebSocketRule("a mask of zeros is a mask", "5.3", frame(0x81, [UInt8](message.utf8), key: 0), [.answer]),
            WebSocketRule("two messages in one write", "5.2", frame(0x81, message) + frame(0x81, message), [.answer, .answer]),
            WebSocketRule("a text frame without a mask", "5.1", [0x81, 0x02, 0x7B, 0x7D], [], .closed(1002)),
            WebSocketRule("a ping without a mask", "5.1", [0x89, 0x00], [], .closed(1002)),
            WebSocketRule("a close without a mask", "5.1", [0x88, 0x02, 0x03, 0xE8], [], .closed(1002)),
            WebSocketRule("a binary message", "7.4.1", isOfWatch: true, frame(0x82, [1, 2, 3]), [], .closed(1003)),
            WebSocketRule("an empty binary message", "7.4.1", isOfWatch: true, frame(0x82), [], .closed(1003)),
            WebSocketRule("125 bytes as a 16-bit length", "5.2", header(0x81, [0xFE, 0, 125]), [], .closed(1002)),
            WebSocketRule("0 bytes as a 16-bit length", "5.2", header(0x81, [0xFE, 0, 0]), [], .closed(1002)),
            WebSocketRule("65,535 bytes as a 64-bit length", "5.2", header(0x81, [0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]), [], .closed(1002)),
            WebSocketRule(
                "a 64-bit length with its highest bit",
                "5.2",
                header(0x81, [0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0]),
                [],
                .closed(1002)
            ),
            WebSocketRule(
                "nothing is read behind a fault",
                "7.1.7",
                frame(0x83) + frame(0x81, message) + frame(0x89, [1]),
                [],
                .closed(1002)
            ),
        ] + reserved

    private static let sizes = [125, 126, 127, 128, 1_000, 32_767, 65_535, 65_536].map { size in
        WebSocketRule("a message of \(size) bytes", "5.2", frame(0x81, message(of: size)), [.answer])
    }

    private static let reserved: [WebSocketRule] =
        ([0xC1, 0xA1, 0x91, 0xF1, 0xC2, 0x41, 0x21, 0x11, 0xC9, 0xA9, 0x99, 0xCA, 0xC8, 0x98] as [UInt8]).map { first in
            WebSocketRule("reserved bits in \(hex(first))", "5.2", frame(first, [0x7B, 0x7D]), [], .closed(1002))
        }
        + ([0x83, 0x84, 0x85, 0x86, 0x87, 0x03, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x0B] as [UInt8]).map { first in
            WebSocketRule("the opcode of \(hex(first))", "5.2", frame(first), [], .closed(1002))
        }

    static func hex(_ byte: UInt8) -> String {
        "0x" + String(byte, radix: 16, uppercase: true)
    }

    // MARK: Fragments

    private static let start = Array(message.utf8.prefix(20))
    private static let rest = Array(message.utf8.dropFirst(20))

    static let fragments: [WebSocketRule] = [
        WebSocketRule("two fragments", "5.4", frame(0x01, start) + frame(0x80, rest), [.answer]),
        WebSocketRule(
            "empty fragments",
            "5.4",
            frame(0x01) + frame(0x00, start) + frame(0x00) + frame(0x00, rest) + frame(0x80),
            [.answer]
        ),
        WebSocketRule(
            "a fragment a byte",
            "5.4",
            frame(0x01) + message.utf8.flatMap { frame(0x00, [$0]) } + frame(0x80),
            [.answer]
        ),
        WebSocketRule(
            "pings between fragments",
            "5.4",
            frame(0x01, start) + frame(0x89, [1]) + frame(0x00) + frame(0x89) + frame(0x80, rest),
            [.pong([1]), .pong([]), .answer]
        ),
        WebSocketRule("a pong between fragments", "5.4", frame(0x01, start) + frame(0x8A, [9]) + frame(0x80, rest), [.answer]),
        WebSocketRule(
            "a close between fragments",
            "5.4",
            frame(0x01, start) + frame(0x88, [0x03, 0xE8]) + frame(0x80, rest),
            [],
            .closed(1000)
        ),
        WebSocketRule("an end without a beginning", "5.4", frame(0x80, rest), [], .closed(1002)),
        WebSocketRule("a middle without a beginning", "5.4", frame(0x00, rest), [], .closed(1002)),
        WebSocketRule("a continuation behind the end", "5.4", frame(0x81, message) + frame(0x80, rest), [.answer], .closed(1002)),
        WebSocketRule("a text inside a text", "5.4", frame(0x01, start) + frame(0x81, message), [], .closed(1002)),
        WebSocketRule("a binary inside a text", "5.4", frame(0x01, start) + frame(0x82, rest), [], .closed(1002)),
        WebSocketRule("a beginning inside a text", "5.4", frame(0x01, start) + frame(0x01, rest), [], .closed(1002)),
        WebSocketRule("reserved bits in a continuation", "5.4", frame(0x01, start) + frame(0xC0, rest), [], .closed(1002)),
        WebSocketRule("an unmasked continuation", "5.4", frame(0x01, start) + [0x80, 0x01, 0x7D], [], .closed(1002)),
    ]

    // MARK: Pings and pongs

    static let control: [WebSocketRule] = [
        WebSocketRule("a ping", "5.5.2", frame(0x89, "Hello"), [.pong([UInt8]("Hello".utf8))]),
        WebSocketRule("an empty ping", "5.5.2", frame(0x89), [.pong([])]),
        WebSocketRule("a ping of 125 bytes that are no text", "5.5.2", frame(0x89, full), [.pong(full)]),
        WebSocketRule("ten pings", "5.5.2", (0..<10).flatMap { frame(0x89, [$0]) }, (0..<10).map { .pong([$0]) }),
        WebSocketRule("a pong that nobody asked for", "5.5.3", frame(0x8A, "x") + frame(0x81, message), [.answer]),
        WebSocketRule("a pong of 125 bytes", "5.5.3", frame(0x8A, full)),
        WebSocketRule("a ping of 126 bytes", "5.5", frame(0x89, full + [0]), [], .closed(1002)),
        WebSocketRule("a pong of 126 bytes", "5.5", frame(0x8A, full + [0]), [], .closed(1002)),
        WebSocketRule("a close of 126 bytes", "5.5", frame(0x88, [0x03, 0xE8] + full[1...]), [], .closed(1002)),
        WebSocketRule("a ping with a 64-bit length", "5.5", header(0x89, [0xFF, 0, 0, 0, 0, 0, 0, 0, 1]), [], .closed(1002)),
        WebSocketRule("a ping in fragments", "5.5", frame(0x09, [1]) + frame(0x80, [2]), [], .closed(1002)),
        WebSocketRule("a pong in fragments", "5.5", frame(0x0A), [], .closed(1002)),
        WebSocketRule("a close in fragments", "5.5", frame(0x08, [0x03]) + frame(0x80, [0xE8]), [], .closed(1002)),
    ]

    private static let full: [UInt8] = (0..<125).map { UInt8($0) ^ 0xFF }
}
