// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

/// What a body parser made of its input, however it was cut.
struct BodyOutcome: Equatable {
    var content: [UInt8] = []
    var consumed: Int?
    var fault: HTTPFault?
}

func bodyOutcome(_ bytes: [UInt8], _ framing: BodyFraming, plan: [Int]) -> BodyOutcome {
    var outcome = BodyOutcome()
    var parser = BodyParser(framing)
    var start = 0
    if parser.isComplete {
        outcome.consumed = 0
        return outcome
    }
    for end in plan {
        let piece = bytes.span.extracting(start..<end)
        do throws(HTTPFault) {
            var content: [UInt8] = []
            let progress = try parser.parse(piece) { content.append(piece, $0) }
            outcome.content += content
            if case .complete(let consumed) = progress {
                precondition(parser.isComplete)
                outcome.consumed = start + consumed
                return outcome
            }
        } catch {
            // The content of the piece that failed depends on the cut: a caller drops the exchange anyway.
            outcome.content = []
            outcome.fault = error
            return outcome
        }
        start = end
    }
    return outcome
}

@Suite struct ChunkedBodyTests {
    private func outcomes(_ text: String) -> [BodyOutcome] {
        let bytes = [UInt8](text.utf8)
        return Feeding.results(of: bytes) { bodyOutcome(bytes, .chunked, plan: $0) }
    }

    @Test(
        arguments: [
            ("0\r\n\r\n", "", 0),
            ("5\r\nhello\r\n0\r\n\r\n", "hello", 0),
            ("5\r\nhello\r\n6;x=y;z=\"a b\"\r\n world\r\n000\r\n\r\nNEXT", "hello world", 4),
            ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n\r\n", "01234567890123456789", 2),
            ("00000000000000f\r\n\r\n0\r\n\r\n\r\n\r\n0123\r\n0\r\n\r\n", "\r\n0\r\n\r\n\r\n\r\n0123", 0),
            ("1\r\nx\r\n0\r\nX-Checksum: abc\r\nX-Empty:\r\n\r\nNEXT", "x", 4),
            ("1;\r\nx\r\n0;last\r\n\r\n", "x", 0),
        ]
    )
    func decodesWhateverTheCut(text: String, content: String, left: Int) {
        let expected = BodyOutcome(content: [UInt8](content.utf8), consumed: text.utf8.count - left)
        #expect(outcomes(text) == [expected])
    }

    @Test(arguments: ["", "5", "5\r\nhel", "5\r\nhello\r\n", "0\r\n", "0\r\nX: y\r\n", "1;x"])
    func whatIsCutOffIsNotComplete(text: String) {
        for outcome in outcomes(text) {
            #expect(outcome.consumed == nil && outcome.fault == nil)
        }
    }

    @Test(
        arguments: [
            ("g\r\n", HTTPFault.badChunk), ("\r\n", .badChunk), ("5 \r\nhello\r\n", .badChunk), (" 5\r\nhello\r\n", .badChunk),
            ("+5\r\nhello\r\n", .badChunk), ("0x5\r\nhello\r\n", .badChunk), ("5\nhello", .bareLineFeed), ("5\rhello", .bareCarriageReturn),
            ("5\r\nhellox", .badChunk), ("5\r\nhello\n", .bareLineFeed), ("5\r\nhello\rx", .bareCarriageReturn),
            ("1000000000000000\r\n", .badChunk), ("5;a\u{1}\r\n", .badChunk), ("5;a\u{7F}\r\n", .badChunk), ("5;a\n", .bareLineFeed),
            ("0\r\n\n", .bareLineFeed), ("0\r\n\rX", .bareCarriageReturn), ("0\r\nX\r\n", .badFieldName), ("0\r\n: a\r\n", .emptyFieldName),
            ("0\r\nX: a\r\n b\r\n", .foldedLine), ("0\r\nX: \0\r\n", .badFieldValue), ("0\r\nHost: a\r\n", .badTrailer),
            ("0\r\ncontent-LENGTH: 1\r\n", .badTrailer), ("0\r\nAuthorization: x\r\n", .badTrailer),
        ]
    )
    func refusesWhateverTheCut(text: String, fault: HTTPFault) {
        #expect(outcomes(text) == [BodyOutcome(fault: fault)])
    }

    @Test func extensionsAndTrailersAreLimited() {
        func outcome(_ text: String) -> BodyOutcome {
            bodyOutcome([UInt8](text.utf8), .chunked, plan: [text.utf8.count])
        }
        let long = String(repeating: "x", count: 256)
        #expect(outcome("0;\(long)\r\n\r\n").consumed != nil)
        #expect(outcome("0;\(long)x\r\n\r\n").fault == .chunkExtensionTooLong)
        #expect(outcome(String(repeating: "1;\(long)\r\nx\r\n", count: 32) + "0\r\n\r\n").consumed != nil)
        #expect(outcome(String(repeating: "1;\(long)\r\nx\r\n", count: 33) + "0\r\n\r\n").fault == .chunkExtensionTooLong)

        #expect(outcome("0\r\n" + String(repeating: "X: y\r\n", count: 100) + "\r\n").consumed != nil)
        #expect(outcome("0\r\n" + String(repeating: "X: y\r\n", count: 101) + "\r\n").fault == .trailersTooLarge)
        #expect(outcome("0\r\nX: " + String(repeating: "y", count: 9000)).fault == .trailersTooLarge)
        let fitting = "X: " + String(repeating: "y", count: (8 << 10) - 7) + "\r\n\r\n"
        #expect(outcome("0\r\n" + fitting).consumed == 3 + (8 << 10))
        #expect(outcome("0\r\nY" + fitting).fault == .trailersTooLarge)
    }

    @Test func contentIsPointedAtNotCopied() throws {
        let bytes = [UInt8]("3\r\nabc\r\n2\r\nde\r\n".utf8)
        var ranges: [Range<Int>] = []
        var parser = BodyParser(.chunked)
        #expect(try parser.parse(bytes) { ranges.append($0) } == .needsMore)
        #expect(ranges == [3..<6, 11..<13])
        #expect(try parser.advance([UInt8]("0\r\n\r\nGET".utf8)) == .complete(consumed: 5))
        #expect(try parser.advance([UInt8]("GET".utf8)) == .complete(consumed: 0))
    }

    @Test func aHugeChunkIsCountedNotKept() throws {
        var parser = BodyParser(.chunked)
        #expect(try parser.advance([UInt8]("fffffffffffffff\r\n".utf8)) == .needsMore)
        let piece = [UInt8](repeating: 0x0A, count: 1 << 16)
        var count = 0
        for _ in 0..<16 {
            #expect(try parser.parse(piece) { count += $0.count } == .needsMore)
        }
        #expect(count == 16 << 16)
    }
}

@Suite struct BodyFramingTests {
    @Test func aLengthIsCountedDown() {
        let bytes = [UInt8]("helloNEXT".utf8)
        let outcomes = Feeding.results(of: bytes) { bodyOutcome(bytes, .length(5), plan: $0) }
        #expect(outcomes == [BodyOutcome(content: [UInt8]("hello".utf8), consumed: 5)])
        #expect(bodyOutcome(bytes, .length(10), plan: [9]) == BodyOutcome(content: bytes))
    }

    @Test func noBodyIsCompleteAtOnce() throws {
        #expect(BodyParser(.none).isComplete && BodyParser(.length(0)).isComplete)
        #expect(!BodyParser(.chunked).isComplete && !BodyParser(.untilClose).isComplete && !BodyParser(.length(1)).isComplete)
        var parser = BodyParser(.none)
        #expect(try parser.advance([1, 2]) == .complete(consumed: 0))
        var empty = BodyParser(.length(0))
        #expect(try empty.advance([1, 2]) == .complete(consumed: 0))
    }

    @Test func untilCloseNeverEnds() {
        let bytes = [UInt8]("0\r\n\r\nanything".utf8)
        let outcomes = Feeding.results(of: bytes) { bodyOutcome(bytes, .untilClose, plan: $0) }
        #expect(outcomes == [BodyOutcome(content: bytes)])
    }

    @Test func aLengthBeyondAllBuffersIsFine() throws {
        var parser = BodyParser(.length(UInt64(Int64.max)))
        #expect(try parser.advance([UInt8](repeating: 0, count: 100).span) == .needsMore)
        guard case .length(let body) = parser else {
            Issue.record("the framing changed")
            return
        }
        #expect(body.remaining == UInt64(Int64.max) - 100)
    }
}
