// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifier
import Testing

@Suite("The JSON scanner")
struct JSONScannerTests {
    private static func string(_ json: String) -> String? { string(Array(json.utf8)) }

    private static func string(_ json: [UInt8]) -> String? {
        json.withUnsafeBufferPointer { bytes in
            var scanner = JSONScanner(bytes)
            guard let value = scanner.string(), scanner.isAtEnd() else { return nil }
            return value
        }
    }

    private static func integer(_ json: String) -> Int64? {
        Array(json.utf8).withUnsafeBufferPointer { bytes in
            var scanner = JSONScanner(bytes)
            guard let value = scanner.integer(), scanner.isAtEnd() else { return nil }
            return value
        }
    }

    @Test(
        "reads strings",
        arguments: [
            (#""""#, ""), (#" "a" "#, "a"), (#""a\"b\\c\/d""#, #"a"b\c/d"#), (#""\b\f\n\r\t""#, "\u{8}\u{c}\n\r\t"),
            (#""\u00e9\u20AC""#, "é€"),
            (#""\ud83d\ude00!""#, "😀!"), (#""\u0000""#, "\0"), (#""é€😀""#, "é€😀"),
        ]
    )
    func strings(json: String, value: String) {
        #expect(Self.string(json) == value)
    }

    @Test(
        "refuses what is no string",
        arguments: [
            "", "\"", #""a"#, #""a\"#, #""\x""#, #""\u12""#, #""\u12g4""#, #""\ud83d""#, #""\ud83d\u0041""#, #""\ude00""#, "\"a\nb\"",
            "\"\0\"", "'a'", "1", #""a"b"#,
        ]
    )
    func noStrings(json: String) {
        #expect(Self.string(json) == nil)
    }

    @Test("refuses bytes that aren't UTF-8, with and without an escape before them")
    func notUTF8() {
        for bytes: [UInt8] in [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0xf4, 0x90, 0x80, 0x80]] {
            #expect(Self.string([0x22] + bytes + [0x22]) == nil)
            #expect(Self.string([0x22, 0x5c, 0x6e] + bytes + [0x22]) == nil)
        }
    }

    @Test("reads whole numbers that fit, and no others")
    func integers() {
        for (json, value) in [("0", 0), ("-0", 0), ("7", 7), (" 9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min)] {
            #expect(Self.integer(json) == value)
        }
        for json in [
            "", "-", "+1", "01", "-01", "1.0", "1e3", "1E3", "9223372036854775808", "-9223372036854775809", "99999999999999999999", "a",
        ] {
            #expect(Self.integer(json) == nil, "\(json)")
        }
    }

    @Test("agrees with Foundation about every string that Foundation writes")
    func agrees() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            let scalars = (0..<Int.random(in: 0..<20, using: &generator)).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 0...(Bool.random() ? 0x7f : 0x1ffff), using: &generator))
            }
            let text = String(String.UnicodeScalarView(scalars))
            let json = try JSONEncoder().encode(text)
            #expect(Self.string([UInt8](json)) == text)
        }
    }
}
