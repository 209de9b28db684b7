// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct UTF8ValidatorTests {
    /// One verdict over all cuts: valid, cut off, or wrong.
    private func verdicts(_ bytes: [UInt8]) -> Set<String> {
        Set(
            Feeding.results(of: bytes) { plan in
                var validator = UTF8Validator()
                var start = 0
                for end in plan {
                    guard validator.validate(bytes.span.extracting(start..<end)) else { return "wrong" }
                    start = end
                }
                return validator.isComplete ? "valid" : "cut off"
            }
        )
    }

    @Test(
        arguments: [
            [], [0x00], [0x7F], [0xC2, 0x80], [0xDF, 0xBF], [0xE0, 0xA0, 0x80], [0xE0, 0xBF, 0xBF], [0xE1, 0x80, 0x80], [0xEC, 0xBF, 0xBF],
            [0xED, 0x80, 0x80], [0xED, 0x9F, 0xBF], [0xEE, 0x80, 0x80], [0xEF, 0xBF, 0xBF], [0xEF, 0xBB, 0xBF], [0xF0, 0x90, 0x80, 0x80],
            [0xF1, 0x80, 0x80, 0x80], [0xF3, 0xBF, 0xBF, 0xBF], [0xF4, 0x8F, 0xBF, 0xBF], [UInt8]("κόσμε and plain text 😀".utf8),
        ] as [[UInt8]]
    )
    func valid(bytes: [UInt8]) {
        #expect(verdicts(bytes) == ["valid"])
        #expect(UTF8Validator.isValid(bytes))
    }

    @Test(
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2, 0x7F], [0xC2, 0xC0], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF],
            [0xE1, 0x80, 0x7F], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF],
            [0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x80],
        ] as [[UInt8]]
    )
    func wrong(bytes: [UInt8]) {
        #expect(verdicts(bytes) == ["wrong"])
        #expect(!UTF8Validator.isValid(bytes))
    }

    @Test(arguments: [[0xC2], [0xE0], [0xE0, 0xA0], [0xF4], [0xF4, 0x8F], [0xF4, 0x8F, 0xBF], [0x61, 0xC2]] as [[UInt8]])
    func cutOff(bytes: [UInt8]) {
        #expect(verdicts(bytes) == ["cut off"])
        #expect(!UTF8Validator.isValid(bytes))
    }

    /// Every pair and, behind each lead byte, every continuation, against the standard library.
    @Test func agreesWithTheStandardLibrary() {
        for first in UInt8.min...UInt8.max {
            for second in UInt8.min...UInt8.max {
                for tail: [UInt8] in [[], [0x80], [0xBF], [0x80, 0xBF], [0x41]] {
                    let bytes = [first, second] + tail
                    let expected = String(validating: bytes, as: UTF8.self) != nil
                    if UTF8Validator.isValid(bytes.span) != expected { Issue.record("\(bytes) should be \(expected)") }
                }
            }
        }
    }

    @Test func failsAtTheFirstImpossibleByte() {
        for (start, next) in [(0xE0, 0x9F), (0xED, 0xA0), (0xF0, 0x8F), (0xF4, 0x90)] as [(UInt8, UInt8)] {
            var validator = UTF8Validator()
            let begins = validator.validate([start])
            let lives = validator.validate([next])
            #expect(begins && !lives)
        }
    }
}
