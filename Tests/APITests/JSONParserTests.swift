// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Testing

@Suite struct JSONParserTests {
    @Test(arguments: [
        (#"null"#, JSONValue.null),
        (#" [ true , false ] "#, .array([.bool(true), .bool(false)])),
        (#"[]"#, .array([])),
        (#"{}"#, .object([])),
        (#"-0"#, .integer(0)),
        (#"9223372036854775807"#, .integer(.max)),
        (#"9223372036854775808"#, .number(9_223_372_036_854_775_808)),
        (#"1.5e2"#, .number(150)),
        (#""a\"\\\/\b\f\n\r\té😀 é""#, .string("a\"\\/\u{8}\u{c}\n\r\té😀 é")),
        (#"{"b":1,"a":[{}]}"#, .object([.init(name: "b", value: .integer(1)), .init(name: "a", value: .array([.object([])]))])),
    ])
    func reads(_ text: String, _ value: JSONValue) throws {
        #expect(try JSONParser.parse(Array(text.utf8)) == value)
    }

    @Test(arguments: [
        "", " ", "{", "[", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\":1 \"b\":2}", "tru", "nulls", "+1", "01", "-",
        "1.", ".5", "1e", "1e+", "1 2", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\u0041\"",
        "\"\u{1}\"", "\"a\nb\"", "NaN", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "1e999", "\u{feff}{}", "'a'", "/* */ 1",
    ])
    func refuses(_ text: String) {
        #expect(throws: JSONParser.Fault.self) { try JSONParser.parse(Array(text.utf8)) }
    }

    @Test func refusesWhatIsNotUTF8() {
        for bytes: [UInt8] in [[0x22, 0xff, 0x22], [0x22, 0xc0, 0xaf, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0x22, 0xe2, 0x82]] {
            #expect(throws: JSONParser.Fault.self) { try JSONParser.parse(bytes) }
        }
    }

    @Test func everyTruncationIsRefusedAndNoneCrashes() throws {
        let text = Array(#"{"set":[{"name":"A","value":"é😀\n","isSecret":true}],"delete":["B"],"n":-1.5e-3,"z":null}"#.utf8)
        _ = try JSONParser.parse(text)
        for count in 0..<text.count {
            #expect(throws: JSONParser.Fault.self) { try JSONParser.parse(Array(text[..<count])) }
        }
    }

    @Test func nestingHasALimit() throws {
        let depth = JSONParser.maximumDepth
        _ = try JSONParser.parse(Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8))
        #expect(throws: JSONParser.Fault.self) { try JSONParser.parse([UInt8](repeating: 0x5b, count: 1_000_000)) }
        #expect(throws: JSONParser.Fault.self) { try JSONParser.parse(Array(String(repeating: "{\"a\":", count: 100_000).utf8)) }
    }

    @Test func saysWhereTheFaultIs() {
        do throws(JSONParser.Fault) {
            _ = try JSONParser.parse(Array("{\"a\":x}".utf8))
            Issue.record("it was read")
        } catch {
            #expect(error.offset == 5)
        }
    }
}
