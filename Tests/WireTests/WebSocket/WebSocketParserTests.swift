// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct WebSocketParserTests {
    /// The sample frames of RFC 6455 section 5.7.
    @Test(
        arguments: [
            (WebSocketParser.Role.client, [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], ["text Hello"]),
            (.server, [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58], ["text Hello"]),
            (.client, [0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F], ["text Hello"]),
            (.client, [0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], ["ping 48656c6c6f"]),
            (.server, [0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58], ["pong 48656c6c6f"]),
        ] as [(WebSocketParser.Role, [UInt8], [String])]
    )
    func readsTheSamplesOfTheStandard(role: WebSocketParser.Role, bytes: [UInt8], events: [String]) {
        #expect(webSocketOutcomes(bytes, role: role) == [WebSocketOutcome(events: events)])
    }

    @Test func readsTheLongSamplesOfTheStandard() {
        let medium: [UInt8] = (0..<256).map { UInt8($0) }
        #expect(webSocketOutcomes([0x82, 0x7E, 0x01, 0x00] + medium) == [WebSocketOutcome(events: ["binary \(ByteText.hex(medium))"])])
        let long = [UInt8](repeating: 0x61, count: 65_536)
        let frame = [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0] + long
        for plan in [[frame.count], [1, 9, 10, 11, 4_000, frame.count]] {
            #expect(webSocketOutcome(frame, plan: plan).events == ["binary \(ByteText.hex(long))"])
        }
    }

    @Test func emptyMessages() {
        #expect(webSocketOutcomes([0x81, 0x00, 0x82, 0x00, 0x89, 0x00]) == [WebSocketOutcome(events: ["text ", "binary ", "ping "])])
        #expect(
            webSocketOutcomes([0x81, 0x80, 1, 2, 3, 4, 0x88, 0x80, 1, 2, 3, 4], role: .server)
                == [WebSocketOutcome(events: ["text ", "close - "], isIdle: false)]
        )
        #expect(webSocketOutcomes([0x01, 0x00, 0x00, 0x00, 0x80, 0x00]) == [WebSocketOutcome(events: ["text "])])
    }

    @Test func controlFramesBetweenFragments() {
        let bytes = rawFrame(0x01, [0xE2, 0x82]) + rawFrame(0x89, [1]) + rawFrame(0x00) + rawFrame(0x8A) + rawFrame(0x80, [0xAC, 0x21])
        #expect(webSocketOutcomes(bytes) == [WebSocketOutcome(events: ["ping 01", "pong ", "text €!"])])
    }

    @Test func aMessageInPiecesIsPending() {
        #expect(!webSocketOutcome(rawFrame(0x01, [0x61])).isIdle)
        #expect(!webSocketOutcome([0x81]).isIdle)
        #expect(webSocketOutcome([]).isIdle)
    }

    @Test(
        arguments: [
            ([0x88, 0x00], "close - "), ([0x88, 0x02, 0x03, 0xE8], "close 1000 "), ([0x88, 0x04, 0x03, 0xF4, 0x68, 0x69], "close 1012 hi"),
            ([0x88, 0x02, 0x11, 0x31], "close 4401 "), ([0x88, 0x02, 0x0B, 0xB8], "close 3000 "),
            ([0x88, 0x02, 0x13, 0x87], "close 4999 "),
        ] as [([UInt8], String)]
    )
    func nothingIsReadBehindAClose(bytes: [UInt8], event: String) {
        #expect(webSocketOutcomes(bytes + rawFrame(0x81, [0x61]) + [0xFF]) == [WebSocketOutcome(events: [event], isIdle: false)])
    }

    @Test(
        arguments: [
            (rawFrame(0xC1), WebSocketFault.reservedBits), (rawFrame(0xA1), .reservedBits), (rawFrame(0x91), .reservedBits),
            (rawFrame(0x83), .reservedOpcode), (rawFrame(0x87), .reservedOpcode), (rawFrame(0x8B), .reservedOpcode),
            (rawFrame(0x8F), .reservedOpcode), (rawFrame(0x09), .fragmentedControl), (rawFrame(0x08), .fragmentedControl),
            ([0x89, 126, 0, 126], .controlTooLong), ([0x88, 127], .controlTooLong), (rawFrame(0x80), .unexpectedContinuation),
            (rawFrame(0x00), .unexpectedContinuation), (rawFrame(0x01, [0x61]) + rawFrame(0x81), .expectedContinuation),
            (rawFrame(0x01, [0x61]) + rawFrame(0x02), .expectedContinuation), ([0x81, 0x81, 1, 2, 3, 4, 5], .unexpectedMask),
            ([0x82, 126, 0, 125], .badLength), ([0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], .badLength), ([0x82, 127, 0x80], .badLength),
            ([0x88, 1, 3], .badClose), ([0x88, 2, 0, 0], .badClose), ([0x88, 2, 0x03, 0xE7], .badClose),
            ([0x88, 2, 0x03, 0xEC], .badClose),
            ([0x88, 2, 0x03, 0xED], .badClose), ([0x88, 2, 0x03, 0xEE], .badClose), ([0x88, 2, 0x03, 0xF7], .badClose),
            ([0x88, 2, 0x07, 0xD0], .badClose), ([0x88, 2, 0x0B, 0xB7], .badClose), ([0x88, 2, 0x13, 0x88], .badClose),
            ([0x88, 2, 0xFF, 0xFF], .badClose), ([0x88, 3, 0x03, 0xE8, 0xFF], .invalidText), ([0x88, 3, 0x03, 0xE8, 0xC3], .invalidText),
            (rawFrame(0x81, [0xFF]), .invalidText), (rawFrame(0x81, [0xC3]), .invalidText),
            (rawFrame(0x81, [0x61, 0xED, 0xA0, 0x80]), .invalidText),
            (rawFrame(0x01, [0xC3]) + rawFrame(0x80), .invalidText), (rawFrame(0x01, [0xC3]) + rawFrame(0x80, [0x61]), .invalidText),
        ] as [([UInt8], WebSocketFault)]
    )
    func refusesWhateverTheCut(bytes: [UInt8], fault: WebSocketFault) {
        #expect(webSocketOutcomes(bytes) == [WebSocketOutcome(fault: fault, isIdle: false)])
        let before = rawFrame(0x89, [7])
        #expect(webSocketOutcomes(before + bytes) == [WebSocketOutcome(events: ["ping 07"], fault: fault, isIdle: false)])
    }

    @Test func clientsMustMask() {
        #expect(webSocketOutcomes([0x81, 0x01, 0x61], role: .server) == [WebSocketOutcome(fault: .missingMask, isIdle: false)])
        #expect(webSocketOutcomes([0x89, 0x00], role: .server) == [WebSocketOutcome(fault: .missingMask, isIdle: false)])
    }

    /// Text that can't become valid is refused where it goes wrong, not at the message's end.
    @Test func textFailsFast() {
        #expect(webSocketOutcome([0x81, 0x7E, 0x10, 0x00, 0x61, 0xFF]).fault == .invalidText)
        #expect(webSocketOutcome([0x81, 0x7E, 0x10, 0x00, 0x61, 0xF4, 0x90]).fault == .invalidText)
        #expect(webSocketOutcome([0x81, 0x7E, 0x10, 0x00, 0x61, 0xF4, 0x8F]).fault == nil)
    }

    @Test func theMessageLimitHoldsForFragmentsTogether() {
        #expect(webSocketOutcomes([0x82, 11], maximum: 10).first?.fault == .messageTooBig)
        #expect(webSocketOutcomes(rawFrame(0x82, [UInt8](repeating: 1, count: 10)), maximum: 10).first?.fault == nil)
        let six = [UInt8](repeating: 0x61, count: 6)
        #expect(
            webSocketOutcomes(rawFrame(0x01, six) + [0x80, 5], maximum: 10) == [WebSocketOutcome(fault: .messageTooBig, isIdle: false)]
        )
        // The announced length is enough: nobody waits for four exabytes.
        #expect(webSocketOutcomes([0x82, 127, 0x40, 0, 0, 0, 0, 0, 0, 0], maximum: 10).first?.fault == .messageTooBig)
        // Control frames don't count.
        let mixed = rawFrame(0x01, six) + rawFrame(0x89, [UInt8](repeating: 1, count: 100)) + rawFrame(0x80, [0x61, 0x61, 0x61, 0x61])
        #expect(webSocketOutcome(mixed, maximum: 10).events.last == "text aaaaaaaaaa")
    }

    /// It is part of every connection, and ten thousand of them are idle.
    @Test func anIdleParserIsTwoWords() {
        #expect(MemoryLayout<WebSocketParser>.size <= 16)
    }

    @Test func aParserThatWasTakenLeavesADeafOne() throws {
        var place = WebSocketParser(role: .client, maximumMessage: 100)
        try place.feed(rawFrame(0x01, [0x61]).span) { _, _ in Issue.record("not whole yet") }
        var taken = place.take()
        var events: [String] = []
        try place.feed(rawFrame(0x81, [0x78]).span) { _, _ in Issue.record("nobody is there") }
        try taken.feed(rawFrame(0x80, [0x62]).span) { events.append(describe($0, $1)) }
        #expect(events == ["text ab"] && place.isClosed && taken.isIdle)
    }

    @Test(arguments: WebSocketFault.allCases)
    func everyFaultHasACloseCode(fault: WebSocketFault) {
        #expect(fault.closeCode.isValidOnTheWire && fault.message.utf8.count <= 123)
        #expect([1002, 1007, 1009].contains(fault.closeCode.rawValue))
    }
}
