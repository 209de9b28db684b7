// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct CompressedMessageTests {
    private static let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]

    private func outcomes(_ bytes: [UInt8], maximum: Int = 1 << 20) -> [WebSocketOutcome] {
        webSocketOutcomes(bytes, maximum: maximum, inflates: true)
    }

    private func deflated(_ message: [UInt8]) throws -> [UInt8] {
        try #require(Deflater()).compress(message)
    }

    /// RFC 7692 section 7.2.3, whatever the cut.
    @Test(
        arguments: [
            rawFrame(0xC1, Self.hello),
            // A message in two fragments, of which only the first has the bit.
            rawFrame(0x41, [0xF2, 0x48, 0xCD]) + rawFrame(0x80, [0xC9, 0xC9, 0x07, 0x00]),
            // A block without compression.
            rawFrame(0xC1, [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]),
            // A final block, padded as the section says, and not.
            rawFrame(0xC1, [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]), rawFrame(0xC1, [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]),
            // Two blocks.
            rawFrame(0xC1, [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00]),
            // The same text without compression is allowed on the same connection.
            rawFrame(0x81, [0x48, 0x65, 0x6C, 0x6C, 0x6F]),
        ]
    )
    func readsTheExamplesOfTheStandard(bytes: [UInt8]) {
        #expect(outcomes(bytes) == [WebSocketOutcome(events: ["text Hello"])])
    }

    @Test func emptyMessages() {
        #expect(outcomes(rawFrame(0xC1, [0x00])) == [WebSocketOutcome(events: ["text "])])
        #expect(outcomes(rawFrame(0xC2)) == [WebSocketOutcome(events: ["binary "])])
        #expect(outcomes(rawFrame(0x41) + rawFrame(0x80)) == [WebSocketOutcome(events: ["text "])])
    }

    @Test func controlFramesStandBetweenItsFragments() {
        let bytes =
            rawFrame(0x41, [0xF2]) + rawFrame(0x89, [1]) + rawFrame(0x00, [0x48, 0xCD]) + rawFrame(0x8A)
            + rawFrame(0x80, [0xC9, 0xC9, 0x07, 0x00])
        let then = rawFrame(0x81, [0x61]) + rawFrame(0xC1, Self.hello)
        #expect(outcomes(bytes + then) == [WebSocketOutcome(events: ["ping 01", "pong ", "text Hello", "text a", "text Hello"])])
    }

    @Test func maskedOnes() throws {
        var bytes: [UInt8] = []
        WebSocketFrame.append(.text, Array(Self.hello[..<2]), isFinal: false, isCompressed: true, mask: 0xA1B2_C3D4, to: &bytes)
        WebSocketFrame.append(.continuation, Array(Self.hello[2...]), mask: 0x0102_0304, to: &bytes)
        #expect(webSocketOutcomes(bytes, role: .server, inflates: true) == [WebSocketOutcome(events: ["text Hello"])])
    }

    /// RFC 7692 section 6: the first frame of a data message, and nowhere else; and without an agreement, nowhere.
    @Test func theBitBelongsOnAFirstFrame() {
        let refused = [WebSocketOutcome(fault: .reservedBits, isIdle: false)]
        for first: UInt8 in [0xC9, 0xCA, 0xC8, 0xC0, 0x40, 0xA1, 0x91, 0xE1, 0xD1] { #expect(outcomes(rawFrame(first)) == refused) }
        #expect(outcomes(rawFrame(0x41, [0xF2]) + rawFrame(0xC0, [0x48])) == refused)
        #expect(outcomes(rawFrame(0x01, [0x61]) + rawFrame(0xC0, [0x48])) == refused)
        #expect(webSocketOutcomes(rawFrame(0xC1, Self.hello)) == refused)
        // An unknown opcode stays one.
        #expect(outcomes(rawFrame(0xC3)) == [WebSocketOutcome(fault: .reservedOpcode, isIdle: false)])
        #expect(outcomes(rawFrame(0x01, [0x61]) + rawFrame(0xC1)) == [WebSocketOutcome(fault: .expectedContinuation, isIdle: false)])
    }

    @Test(
        arguments: [
            // Cut off in a block; the window of an earlier message (section 7.2.3.2); a block type that does not exist; a stored block
            // whose length contradicts itself; text behind the final block.
            [0xF2, 0x48, 0xCD], [0xF2, 0x00, 0x11, 0x00, 0x00], [0x07], [0x00, 0x05, 0x00, 0x00, 0x00, 0x48],
            [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0xFF], [0xFF],
        ] as [[UInt8]]
    )
    func refusesWhatDoesNotInflate(payload: [UInt8]) {
        let refused = [WebSocketOutcome(fault: .badDeflate, isIdle: false)]
        #expect(outcomes(rawFrame(0xC2, payload)) == refused)
        #expect(outcomes(rawFrame(0x42, payload) + rawFrame(0x80)) == refused)
        #expect(WebSocketFault.badDeflate.closeCode == .invalidPayload)
    }

    @Test func textIsCheckedWhenItIsInflated() throws {
        #expect(outcomes(rawFrame(0xC1, try deflated([0x61, 0xFF]))) == [WebSocketOutcome(fault: .invalidText, isIdle: false)])
        #expect(outcomes(rawFrame(0xC1, try deflated([0xC3]))) == [WebSocketOutcome(fault: .invalidText, isIdle: false)])
        #expect(outcomes(rawFrame(0xC2, try deflated([0xC3]))) == [WebSocketOutcome(events: ["binary c3"])])
        #expect(outcomes(rawFrame(0xC1, try deflated([UInt8]("€".utf8)))) == [WebSocketOutcome(events: ["text €"])])
    }

    @Test func whatABombInflatesToIsLimited() throws {
        let bomb = try deflated([UInt8](repeating: 0, count: 10 << 20))
        #expect(bomb.count < 20_000)
        var bytes: [UInt8] = []
        WebSocketFrame.append(.binary, bomb, isCompressed: true, to: &bytes)
        #expect(webSocketOutcome(bytes, maximum: 1 << 20, inflates: true).fault == .messageTooBig)
        #expect(webSocketOutcome(bytes, maximum: (10 << 20) - 1, inflates: true).fault == .messageTooBig)
        #expect(webSocketOutcome(bytes, maximum: 10 << 20, inflates: true).fault == nil)
    }

    /// A message of just the limit's size may be a few bytes longer as it is sent, where it doesn't compress; not without end.
    @Test func theLimitIsForTheMessageNotForItsFrames() throws {
        var random = SeededRandom(4)
        let noise = (0..<100).map { _ in UInt8.random(in: 0...255, using: &random) }
        let payload = try deflated(noise)
        #expect(payload.count > noise.count)
        #expect(outcomes(rawFrame(0xC2, payload), maximum: 100) == [WebSocketOutcome(events: ["binary \(ByteText.hex(noise))"])])
        #expect(outcomes(rawFrame(0xC2, payload), maximum: 99).first?.fault == .messageTooBig)
        // Announced only.
        #expect(webSocketOutcome([0xC2, 126, 1, 0], maximum: 100, inflates: true).fault == .messageTooBig)
        // Empty blocks without end make nothing, and are no message either.
        let empties = [UInt8](repeating: 0, count: 1) + (0..<100).flatMap { _ in [0x00, 0x00, 0xFF, 0xFF, 0x00] as [UInt8] }
        var stream: [UInt8] = []
        for (index, part) in stride(from: 0, to: empties.count, by: 100).enumerated() {
            let piece = Array(empties[part..<min(part + 100, empties.count)])
            WebSocketFrame.append(index == 0 ? .binary : .continuation, piece, isFinal: false, isCompressed: index == 0, to: &stream)
        }
        #expect(webSocketOutcome(stream, maximum: 100, inflates: true).fault == .messageTooBig)
        #expect(webSocketOutcome(stream, maximum: 1_000, inflates: true).fault == nil)
    }

    /// Streams of all kinds of frames, cut anywhere: the same events.
    @Test(arguments: 0..<60)
    func theCutChangesNothing(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let deflater = try #require(Deflater())
        let role: WebSocketParser.Role = Bool.random(using: &random) ? .server : .client
        var stream: [UInt8] = []
        for _ in 0..<Int.random(in: 1...12, using: &random) { appendMessage(role, deflater, to: &stream, &random) }
        if seed % 3 == 0 { stream[Int.random(in: 0..<stream.count, using: &random)] ^= 1 << UInt8.random(in: 0...7, using: &random) }
        let whole = webSocketOutcome(stream, role: role, maximum: 10_000, inflates: true)
        if seed % 3 != 0 { #expect(whole.fault == nil && whole.isIdle) }
        for _ in 0..<40 {
            var plan = (0..<Int.random(in: 0...20, using: &random)).map { _ in Int.random(in: 0...stream.count, using: &random) }.sorted()
            plan.append(stream.count)
            #expect(webSocketOutcome(stream, role: role, maximum: 10_000, inflates: true, plan: plan) == whole)
        }
    }

    private func appendMessage(_ role: WebSocketParser.Role, _ deflater: Deflater, to stream: inout [UInt8], _ random: inout SeededRandom) {
        let size = Int.random(in: 0...3_000, using: &random)
        let message = (0..<size).map { _ in UInt8.random(in: 0x20...0x23, using: &random) }
        let isCompressed = Bool.random(using: &random)
        var payload = isCompressed ? deflater.compress(message) : message
        var opcode: WebSocketOpcode = Bool.random(using: &random) ? .text : .binary
        var isFirst = true
        repeat {
            let part = Array(payload.prefix(Bool.random(using: &random) ? payload.count : Int.random(in: 0...400, using: &random)))
            payload.removeFirst(part.count)
            WebSocketFrame.append(
                opcode,
                part,
                isFinal: payload.isEmpty,
                isCompressed: isFirst && isCompressed,
                mask: role == .server ? UInt32.random(in: 0 ... .max, using: &random) : nil,
                to: &stream
            )
            (opcode, isFirst) = (.continuation, false)
            if Int.random(in: 0...4, using: &random) == 0 {
                WebSocketFrame.append(.ping, Array(message.prefix(5)), mask: role == .server ? 77 : nil, to: &stream)
            }
        } while !payload.isEmpty
    }
}
