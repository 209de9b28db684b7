// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct JSONTextTests {
    private func escaped(_ text: String) -> String {
        var out: [UInt8] = []
        JSONText.append(quoted: text, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    @Test(
        arguments: [
            ("", #""""#), ("plain", #""plain""#), ("\"", #""\"""#), ("\\", #""\\""#), ("/", #""/""#),
            ("a\nb\r\tc\u{8}\u{C}", #""a\nb\r\tc\b\f""#),
            ("\0\u{1}\u{1F}\u{7F}", "\"\\u0000\\u0001\\u001f\u{7F}\""), ("é€😀\u{2028}", "\"é€😀\u{2028}\""),
            ("12345678\"12345678", #""12345678\"12345678""#), ("1234567\n", #""1234567\n""#), ("12345678\u{1F}", #""12345678\u001f""#),
        ]
    )
    func escapes(text: String, expected: String) {
        #expect(escaped(text) == expected)
        var out: [UInt8] = []
        JSONText.append(escaping: [UInt8](text.utf8).span, to: &out)
        #expect("\"" + String(decoding: out, as: UTF8.self) + "\"" == expected)
    }

    /// Each byte at each place of a word, so that the eight-byte steps miss none and take none for another.
    @Test func everyAsciiByteAtEveryPlace() {
        for byte in UInt8(0)..<128 {
            for place in 0..<17 {
                var text = [UInt8](repeating: 0x61, count: 17)
                text[place] = byte
                var out: [UInt8] = []
                JSONText.append(escaping: text.span, to: &out)
                let mustEscape = byte < 0x20 || byte == 0x22 || byte == 0x5C
                #expect((out != text) == mustEscape)
                if mustEscape { #expect(out[place] == 0x5C && !out.contains { $0 < 0x20 }) }
            }
        }
    }
}

@Suite struct ByteTextTests {
    @Test(
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
        ]
    )
    func base64(text: String, expected: String) {
        #expect(ByteText.base64([UInt8](text.utf8)) == expected)
        #expect(ByteText.base64URL([UInt8](text.utf8)) == expected.filter { $0 != "=" })
    }

    @Test func alphabets() {
        #expect(ByteText.base64([0xFB, 0xEF, 0xFF]) == "++//" && ByteText.base64URL([0xFB, 0xEF, 0xFF]) == "--__")
        #expect(ByteText.hex([0, 1, 0x7F, 0xFF]) == "00017fff")
    }

    @Test func spansCompareWithoutCase() {
        let bytes = [UInt8]("xContent-Lengthx".utf8)
        #expect(bytes.equalsIgnoringCase(1..<15, "content-length") && !bytes.equals(1..<15, "content-length"))
        #expect(bytes.equals(1..<15, "Content-Length") && !bytes.equalsIgnoringCase(1..<14, "content-length"))
        #expect(bytes.text(1..<8) == "Content" && bytes[..<1] == [0x78])
    }
}
