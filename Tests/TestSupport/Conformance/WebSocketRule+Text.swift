// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// UTF-8 (section 8.1) and the size of messages (section 10.4).
extension WebSocketRule {
    private static let before = [UInt8](#"{"type":"unsubscribe","environment":""#.utf8)
    private static let after = [UInt8](#""}"#.utf8)

    static let text: [WebSocketRule] = valid + invalid + early

    /// The borders of UTF-8's forms, and what only looks wrong.
    private static let valid: [WebSocketRule] =
        ([0x80, 0x7FF, 0x800, 0xFFFD, 0xFFFE, 0xFFFF, 0xFDD0, 0x10000, 0x1FFFE, 0x10FFFF, 0xD7FF, 0xE000] as [UInt32]).compactMap { value in
            guard let scalar = Unicode.Scalar(value) else { return nil }
            let name = "U+" + String(value, radix: 16, uppercase: true)
            return WebSocketRule("\(name) in a text", "8.1", frame(0x81, before + String(scalar).utf8 + after), [.answer])
        } + [
            WebSocketRule(
                "a character in two fragments",
                "8.1",
                frame(0x01, before + [0xF0, 0x9F]) + frame(0x89, [7]) + frame(0x80, [0x98, 0x80] + after),
                [.pong([7]), .answer]
            ),
            WebSocketRule(
                "a fragment a byte of every character",
                "8.1",
                frame(0x01, before) + "κόσμε€😀".utf8.flatMap { frame(0x00, [$0]) } + frame(0x80, after),
                [.answer]
            ),
        ]

    private static let broken: [(String, [UInt8])] = [
        ("a continuation byte alone", [0x80]), ("0xFE", [0xFE]), ("0xFF", [0xFF]), ("an overlong slash", [0xC0, 0xAF]),
        ("an overlong two-byte form", [0xC1, 0xBF]), ("an overlong three-byte form", [0xE0, 0x9F, 0xBF]),
        ("an overlong four-byte form", [0xF0, 0x8F, 0xBF, 0xBF]), ("the first high surrogate", [0xED, 0xA0, 0x80]),
        ("the last low surrogate", [0xED, 0xBF, 0xBF]), ("a pair of surrogates", [0xED, 0xA0, 0x80, 0xED, 0xB0, 0x80]),
        ("U+110000", [0xF4, 0x90, 0x80, 0x80]), ("a five-byte form", [0xF8, 0x88, 0x80, 0x80, 0x80]),
        ("a six-byte form", [0xFC, 0x84, 0x80, 0x80, 0x80, 0x80]), ("half a character before a quote", [0xE2, 0x82]),
    ]

    private static let invalid: [WebSocketRule] =
        broken.map { name, bytes in
            WebSocketRule("\(name) in a text", "8.1", frame(0x81, before + bytes + after), [], .closed(1007))
        }
        + broken.map { name, bytes in
            WebSocketRule("\(name) in a later fragment", "8.1", frame(0x01, before) + frame(0x80, bytes + after), [], .closed(1007))
        } + [
            WebSocketRule("half a character at the end of a text", "8.1", frame(0x81, [0xE2, 0x82]), [], .closed(1007)),
            WebSocketRule(
                "half a character at the end of the fragments",
                "8.1",
                frame(0x01, [0xE2]) + frame(0x80, [0x82]),
                [],
                .closed(1007)
            ),
            WebSocketRule("half a character, then an empty end", "8.1", frame(0x01, [0xF0, 0x9F]) + frame(0x80), [], .closed(1007)),
        ]

    /// Nobody waits for the rest of what can't become text any more.
    private static let early: [WebSocketRule] = [
        WebSocketRule("bad text in a message that goes on", "8.1", frame(0x01, before + [0xC0]), [], .closed(1007)),
        WebSocketRule("U+110000 after two of its bytes", "8.1", frame(0x01, [0xF4, 0x90]), [], .closed(1007)),
        WebSocketRule("bad text in a frame that goes on", "8.1", header(0x81, [0xFE, 0x10, 0x00]) + before + [0xFF], [], .closed(1007)),
    ]

    static let limits: [WebSocketRule] = [
        WebSocketRule(
            "65,537 bytes, announced",
            "7.4.1",
            isOfWatch: true,
            header(0x81, [0xFF, 0, 0, 0, 0, 0, 1, 0, 1]),
            [],
            .closed(1009)
        ),
        WebSocketRule(
            "an exabyte, announced",
            "10.4",
            header(0x81, [0xFF, 0x10, 0, 0, 0, 0, 0, 0, 0]),
            [],
            .closed(1009)
        ),
        WebSocketRule(
            "fragments that are too much together",
            "10.4",
            isOfWatch: true,
            frame(0x01, message(of: 40_000)) + frame(0x00, message(of: 20_000)) + header(0x80, [0xFE, 0x20, 0]),
            [],
            .closed(1009)
        ),
    ]
}
