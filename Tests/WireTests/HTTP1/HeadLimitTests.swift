// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct HeadLimitTests {
    private func head(length: Int) -> [UInt8] {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: "
        return [UInt8]((start + String(repeating: "x", count: length - start.utf8.count - 4) + "\r\n\r\n").utf8)
    }

    @Test func theLimitIsInclusive() {
        guard case .request(let summary) = requestOutcome(head(length: 32 << 10)) else {
            Issue.record("a head of 32 KiB was refused")
            return
        }
        #expect(summary.length == 32 << 10)
        #expect(requestOutcome(head(length: (32 << 10) + 1)) == .fault(.headTooLarge))
        #expect(HTTPFault.headTooLarge.status == 431)
    }

    @Test func aHeadThatNeverEndsIsRefusedAtTheLimit() {
        let bytes = head(length: 1 << 20)
        #expect(requestOutcome(Array(bytes[..<32_767])) == .incomplete)
        #expect(requestOutcome(Array(bytes[..<32_768])) == .fault(.headTooLarge))
        let target = [UInt8](("GET /" + String(repeating: "a", count: 40_000)).utf8)
        #expect(requestOutcome(target) == .fault(.headTooLarge))
    }

    @Test func equalResultsAtSmallLimitsHoweverTheHeadIsCut() {
        for limit in 20...64 {
            let outcomes = requestOutcomes(
                "GET /abc HTTP/1.1\r\nHost: a\r\nX-Name: some value\r\n\r\n",
                limits: HeadLimits(bytes: limit, fields: 100)
            )
            #expect(outcomes.count == 1, "limit \(limit)")
        }
    }

    @Test func oneHundredFieldsAreEnough() {
        func text(_ count: Int) -> [UInt8] {
            [UInt8](("GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: count - 1) + "\r\n").utf8)
        }
        guard case .request = requestOutcome(text(100)) else {
            Issue.record("100 fields were refused")
            return
        }
        #expect(requestOutcome(text(101)) == .fault(.tooManyFields))
        #expect(HTTPFault.tooManyFields.status == 431)
    }

    /// Feeding byte by byte must not scan from the start each time: 32 KiB in single bytes would be half a billion steps.
    @Test func feedingByteByByteIsLinear() throws {
        let bytes = head(length: 32 << 10)
        var parser = RequestHeadParser()
        for end in 1..<bytes.count {
            #expect(try parser.parse(Array(bytes[..<end])) == .incomplete)
        }
        #expect(try parser.parse(bytes) == .complete(length: bytes.count))
    }

    @Test(arguments: HTTPFault.allCases)
    func everyFaultHasAStatusACodeAndAMessage(fault: HTTPFault) {
        #expect([400, 426, 431, 501, 505].contains(fault.status))
        #expect(fault.code.utf8.allSatisfy { $0 == 0x5F || (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) })
        #expect(!fault.message.isEmpty)
    }
}
