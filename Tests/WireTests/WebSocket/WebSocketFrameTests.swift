// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct WebSocketFrameTests {
    @Test func writesTheSamplesOfTheStandard() {
        var out: [UInt8] = []
        WebSocketFrame.append(text: "Hello", to: &out)
        #expect(out == [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
        out = []
        WebSocketFrame.append(text: "Hello", mask: 0x37FA_213D, to: &out)
        #expect(out == [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58])
    }

    @Test(arguments: [0, 1, 7, 8, 9, 125, 126, 127, 1000, 65_535, 65_536, 70_001])
    func roundTrip(length: Int) {
        let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let expected = ["binary \(ByteText.hex(payload))"]
        var plain: [UInt8] = []
        WebSocketFrame.append(.binary, payload, to: &plain)
        #expect(plain.count == WebSocketFrame.headerLength(payload: length) + length)
        #expect(webSocketOutcome(plain).events == expected)
        var masked: [UInt8] = []
        WebSocketFrame.append(.binary, payload, mask: 0xA1B2_C3D4, to: &masked)
        #expect(webSocketOutcome(masked, role: .server).events == expected)
        // Unmasking in pieces must turn the key with the offset.
        for step in [1, 3, 8, 13] where masked.count < 2_000 {
            let plan = stride(from: step, to: masked.count, by: step) + [masked.count]
            #expect(webSocketOutcome(masked, role: .server, plan: plan).events == expected)
        }
    }

    @Test func fragmentsRoundTrip() {
        var out: [UInt8] = []
        WebSocketFrame.append(.text, [0x61], isFinal: false, mask: 1, to: &out)
        WebSocketFrame.append(.ping, [0x62], mask: 2, to: &out)
        WebSocketFrame.append(.continuation, [0x63], isFinal: true, mask: 3, to: &out)
        #expect(webSocketOutcomes(out, role: .server) == [WebSocketOutcome(events: ["ping 62", "text ac"])])
    }

    @Test func closeFrames() {
        var out: [UInt8] = []
        WebSocketFrame.appendClose(.serviceRestart, reason: "drain", to: &out)
        #expect(out == [0x88, 7, 0x03, 0xF4] + "drain".utf8)
        out = []
        WebSocketFrame.appendClose(nil, reason: "ignored", to: &out)
        #expect(out == [0x88, 0])
        out = []
        WebSocketFrame.appendClose(.normal, mask: 0x0102_0304, to: &out)
        #expect(webSocketOutcome(out, role: .server).events == ["close 1000 "])
    }

    /// A control frame has room for 123 bytes of reason; a character is never cut.
    @Test func aLongReasonIsCutBetweenCharacters() {
        for padding in 0..<4 {
            var out: [UInt8] = []
            WebSocketFrame.appendClose(
                .normal,
                reason: String(repeating: "x", count: padding) + String(repeating: "€", count: 60),
                to: &out
            )
            #expect(out.count <= 127)
            let outcome = webSocketOutcome(out)
            #expect(outcome.fault == nil && outcome.events.first?.hasPrefix("close 1000 ") == true)
        }
    }

    @Test func theHeaderCanBeWrittenAlone() {
        var out: [UInt8] = []
        WebSocketFrame.appendHeader(.text, payload: 300, to: &out)
        #expect(out == [0x81, 126, 0x01, 0x2C] && out.count == WebSocketFrame.headerLength(payload: 300))
    }
}
