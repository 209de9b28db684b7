// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The closing handshake and its codes (sections 5.5.1 and 7).
extension WebSocketRule {
    static let closing: [WebSocketRule] =
        codes + [
            WebSocketRule("a close without a code", "5.5.1", frame(0x88), [], .closed([nil, 1000])),
            WebSocketRule("a close with a reason", "5.5.1", close(1000, "good bye"), [], .closed(1000)),
            WebSocketRule(
                "a close with a reason of 123 bytes",
                "5.5.1",
                close(1000, String(repeating: "é", count: 61) + "!"),
                [],
                .closed(1000)
            ),
            WebSocketRule("a close of one byte", "5.5.1", frame(0x88, [0x03]), [], .closed(1002)),
            WebSocketRule("a close with half a character", "5.5.1", frame(0x88, [0x03, 0xE8, 0x61, 0xC3]), [], .closed(1007)),
            WebSocketRule(
                "a close with a reason that is no text",
                "5.5.1",
                frame(0x88, [0x03, 0xE8, 0xCE, 0xBA, 0xED, 0xA0, 0x80]),
                [],
                .closed(1007)
            ),
            WebSocketRule("a message behind a close", "5.5.1", close(1000) + frame(0x81, message), [], .closed(1000)),
            WebSocketRule("a ping behind a close", "5.5.1", close(1000) + frame(0x89, [1]), [], .closed(1000)),
            WebSocketRule("a second close", "5.5.1", close(1000) + close(1001), [], .closed(1000)),
            WebSocketRule("a fault behind a close", "5.5.1", close(1001) + frame(0x83), [], .closed(1001)),
            WebSocketRule("an answer, then a close", "5.5.1", frame(0x81, message) + close(1001), [.answer], .closed(1001)),
        ]

    private static let codes: [WebSocketRule] =
        ([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] as [UInt16]).map {
            WebSocketRule("a close with \($0)", "7.4.1", close($0), [], .closed($0))
        }
        + ([0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] as [UInt16]).map {
            WebSocketRule("a close with \($0)", "7.4.1", close($0), [], .closed(1002))
        }

    private static func close(_ code: UInt16, _ reason: String = "") -> [UInt8] {
        frame(0x88, [UInt8(code >> 8), UInt8(code & 0xFF)] + [UInt8](reason.utf8))
    }
}
