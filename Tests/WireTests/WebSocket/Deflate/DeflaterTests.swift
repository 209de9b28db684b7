// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct DeflaterTests {
    /// RFC 7692 sections 7.2.3.1 and 7.2.3.6.
    @Test func writesTheExamplesOfTheStandard() throws {
        let deflater = try #require(Deflater())
        #expect(deflater.compress([UInt8]("Hello".utf8)) == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
        #expect(deflater.compress([]) == [0x00])
        var frame: [UInt8] = []
        deflater.appendFrame(.text, [UInt8]("Hello".utf8).span, to: &frame)
        #expect(frame == [0xC1, 0x07, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
    }

    /// A message tells nothing of the ones before: any socket can read it, whatever it missed.
    @Test func messagesAreIndependent() throws {
        let deflater = try #require(Deflater())
        let text = [UInt8]("the same text, the same text, the same text".utf8)
        let first = deflater.compress(text)
        #expect(deflater.compress([UInt8](repeating: 7, count: 100_000)).count < 1_000)
        #expect(deflater.compress(text) == first)
        #expect(first.count < text.count)
    }

    @Test(arguments: [Int32(1), 6, 9, 0], [0, 1, 125, 126, 16_379, 16_384, 16_385, 65_535, 65_536, 300_000])
    func everySizeAndLevelComesBack(level: Int32, size: Int) throws {
        let deflater = try #require(Deflater(level: level))
        var random = SeededRandom(UInt64(size) &+ UInt64(level))
        let noise = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
        let pattern = (0..<size).map { UInt8(truncatingIfNeeded: $0 / 7) }
        for message in [noise, pattern] {
            var stream: [UInt8] = []
            deflater.appendFrame(.binary, message.span, mask: 0x1234_5678, to: &stream)
            let outcome = webSocketOutcome(stream, role: .server, maximum: size, inflates: true)
            #expect(outcome == WebSocketOutcome(events: ["binary \(ByteText.hex(message))"]))
        }
    }

    @Test func aLevelThatDoesNotExistGivesNone() {
        #expect(Deflater(level: 12) == nil)
    }
}

/// SplitMix64: the same numbers every time, so that a failure comes back.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }
}
