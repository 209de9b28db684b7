// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Testing

@Suite struct FormatsYAMLTests {
    @Test(arguments: [
        ("A: b", "b"), ("A: b\n", "b"), ("A: b\r\n", "b"), ("A: b\r", "b"), ("\u{FEFF}A: b", "b"), ("A:   b  ", "b"), ("A:\tb", "b"),
        ("A : b", "b"),
        ("A: 8080", "8080"), ("A: 007", "007"), ("A: 1e3", "1e3"), ("A: 1_000", "1_000"), ("A: yes", "yes"), ("A: true", "true"),
        ("A: 2026-01-01", "2026-01-01"),
        ("A: b # comment", "b"), ("A: b#c", "b#c"), ("A: http://x:80/?a=b&c=*d", "http://x:80/?a=b&c=*d"), ("A: -1", "-1"), ("A: ?b", "?b"),
        ("A: <<", "<<"),
        ("A: \"\"", ""), ("A: ''", ""), ("A: 'null'", "null"), ("A: \"~\"", "~"), ("A: \" b \"", " b "), ("A: 'it''s'", "it's"),
        ("A: nullable", "nullable"),
        ("A: \"\\n\\t\\\\\\\"\\x41\\u00e9\\U0001F600\"", "\n\t\\\"Aé😀"), ("A: \"b\n  c\n\n  d\"", "b c\nd"), ("A: b\n  c", "b c"),
        ("A: 'b\n  c'", "b c"),
        ("A: |\n  b\n   c\n", "b\n c\n"), ("A: |-\n  b\n  c\n", "b\nc"), ("A: |+\n  b\n\n", "b\n\n"), ("A: >\n  b\n  c\n", "b c\n"),
        ("A: |2\n   b\n", " b\n"),
        ("A: |\n  # no comment\n  B: c\n# comment\n", "# no comment\nB: c\n"), ("A: |\r\n  b\r\n  c\r\n", "b\nc\n"),
        ("A: | # comment\n  b\n", "b\n"),
        ("A: \"\\uFEFF\\uFEFF\"", "\u{FEFF}\u{FEFF}"), ("A: \"\n  b\"", " b"), ("A: \"e\u{301}\"", "e\u{301}"),
        ("A: \"\u{301}\"", "\u{301}"), ("---\nA: b", "b"), ("# c\n%YAML 1.2\n---\n# d\nA: b\n...\n# e\n", "b"), ("--- # c\nA: b", "b"),
        ("\n\n  A: b\n", "b"),
        ("\"A\": b", "b"), ("'A' : b", "b"),
        ("A: \"a: [b\"", "a: [b"), ("A: 'x'   # y", "x"), ("A: |\n  --- \n  ...\n", "--- \n...\n"), ("A: \"[a, &b *c]\"", "[a, &b *c]"),
        ("A: \"b\n\n# no comment\n  c\"", "b\n# no comment c"),
    ])
    func reads(_ text: String, _ value: String) {
        let outcome = FormatSamples.read(text, .yaml)
        #expect(outcome.faults == [])
        #expect(outcome.pairs == [.init(name: "A", value: value)])
    }

    @Test func readsADocumentOfSeveral() {
        let text = "  # c\n  A: 1\n\n  B.c-d: |\n    x\n\n    y\n  # c\n  yes: \"z\"\n  _: 'w'\n"
        let outcome = FormatSamples.read(text, .yaml)
        #expect(outcome.faults == [])
        #expect(outcome.pairs.map(\.name) == ["A", "B.c-d", "yes", "_"])
        #expect(outcome.values == ["1", "x\n\ny\n", "z", "w"])
        #expect(outcome.places == ["line 2", "line 4", "line 9", "line 10"])
    }

    @Test(arguments: ["", "\n", "# nothing", "---\n", "---\n...\n", "{}", "---\n{} # nothing\n", "\u{FEFF}", "%YAML 1.1\n---\n"])
    func readsNothing(_ text: String) {
        let outcome = FormatSamples.read(text, .yaml)
        #expect(outcome.faults == [])
        #expect(outcome.pairs == [])
    }

    @Test(arguments: [
        ("A:", "write \"\" for an empty one"), ("A: # c", "write \"\" for an empty one"), ("A: ~", "null; write \"\""),
        ("A: null", "null; write \"\""),
        ("A: NULL # c", "null; write \"\""), ("A:\nB: c", "gives A no value"), ("A: b\nA: c", "sets A, which line 1 sets already"),
        ("A: b\n\"A\": c", "sets A, which line 1 sets already"), ("A: [b]", "a map or a list"), ("A: {b: c}", "a map or a list"),
        ("A:\n  B: c", "a map or a list"),
        ("A:\n- b\n- c", "a map or a list"), ("A:\n  - b", "a map or a list"), ("A: - b", "a list"),
        ("A:\n\n  # c\n  b", "a value that begins on the next line"),
        ("- A\n- B", "item of a list"), ("- A: b", "item of a list"), ("[A]", "opens a bracket"), ("{A: b}", "opens a bracket"),
        ("text", "no colon and blank"),
        ("A=b", "no colon and blank"), ("A:b", "no colon and blank"), ("\"A: b", "no colon and blank"), ("? A\n: b", "long form"),
        ("&x A: b", "anchor or alias"),
        ("*x : b", "anchor or alias"), ("!!map\nA: b", "has a tag"), ("A: !!binary YQ==", "a tag"), ("A: &x b", "an anchor"),
        ("A: *x", "an alias"),
        ("<<: *x", "merges another map"), ("A: b\n---\nB: c", "second document"), ("A: b\n---\n", "second document"),
        ("A: b\n...\nB: c", "second document"),
        ("---\n---\nA: b", "second document"), ("--- A\n", "text after ---"), ("%TAG ! x\n---\nA: b", "directive"),
        ("  A: b\nB: c", "indented less"),
        ("\tA: b", "tab"), ("A: b\n\tC: d", "is not YAML"), ("A: b: c", "is not YAML"), ("A: \"b", "is not YAML"),
        ("A: \"b\" c", "is not YAML"),
        ("A: \"\\q\"", "is not YAML"), ("A: @b", "is not YAML"), ("A: %b", "is not YAML"), ("A: `b`", "is not YAML"),
        ("A: \"\\ud800\"", "is not YAML"),
        ("A: \u{1}", "control character"), ("A: \"\u{7F}\"", "control character"), ("A: \"b\u{2028}c\"", "U+2028"),
        ("A: b\u{85}B: [c", "U+0085"), ("# \u{2029}", "U+2029"), ("A: \u{FEFF}b", "U+FEFF"),
        ("A: \"\\0\"", "NUL"), ("A: \u{0}", "NUL"), ("1A: b", "no valid name"), ("A B: c", "no valid name"),
        ("\"A\\n\": c", "no valid name"), (": b", "no valid name"),
        ("A: \"b\nB: c\"", "is not YAML"), ("A: b\n  c: d", "is not YAML"),
        ("A: \(String(repeating: "b", count: 65537))", "65537 bytes; 65536 are allowed"),
    ])
    func refuses(_ text: String, _ detail: String) {
        let outcome = FormatSamples.read(text, .yaml)
        #expect(outcome.faults.contains { $0.contains(detail) }, "\(outcome.faults)")
        #expect(outcome.pairs == [])
    }

    @Test func tellsAllFaultsAtOnceInTheirOrderWithoutAValue() {
        let text = """
            GOOD: 1
            A:
            B: [secret1,
              secret2]
            C: "secret3
            GOOD: secret4
            D:
              secret5: secret6
            E:
            - secret7
            - secret8
            F: ok: secret9
            secret10
            G: *secret11
            H: null
            GOOD: |
              secret12
            """
        let outcome = FormatSamples.read(text, .yaml)
        #expect(outcome.faultPlaces == [2, 3, 5, 6, 7, 9, 12, 13, 14, 15, 16].map { "line \($0)" })
        #expect(outcome.faults.allSatisfy { !$0.contains("secret") }, "\(outcome.faults)")
    }

    @Test func hostileDocumentsCostNoMoreThanTheirLength() {
        let level = { (number: Int) in
            "A\(number): &a\(number) [\(Array(repeating: "*a\(number - 1)", count: 10).joined(separator: ", "))]\n"
        }
        let laughs = (1...40).map(level).joined()
        #expect(FormatSamples.read(laughs, .yaml).faults.count == 40)
        let keys = "A: &a [x]\n" + String(repeating: "? {? *a : *a}\n: &a {*a : *a}\n", count: 40)
        #expect(FormatSamples.read(keys, .yaml).faults.count == 2)
        let count = 1_000_000
        for hostile in [
            "A: " + String(repeating: "[", count: count), String(repeating: "[", count: count), String(repeating: "{a: ", count: count / 4),
            "A:\n" + String(repeating: " - -\n", count: count / 5), String(repeating: "- ", count: count / 2),
            String(repeating: "? ", count: count / 2),
            "A: [" + String(repeating: "b,", count: count / 2), "A: x\n  " + String(repeating: "[", count: count) + ": [",
            String(repeating: "A: \"\n", count: count / 5), "A: b\n " + String(repeating: "c: [d, e]\n ", count: count / 11),
            String(repeating: ":", count: count),
            "A: \"" + String(repeating: "\n\n", count: count / 2), "A: \"b\" " + String(repeating: "[", count: count),
        ] {
            #expect(FormatSamples.read(hostile, .yaml).pairs == [])
        }
        let many = (0...100_000).map { "N\($0): \"\"" }.joined(separator: "\n")
        #expect(FormatSamples.read(many, .yaml).faults == ["the document: has more than 100000 entries; an environment holds 10000"])
    }

    @Test func everyPrefixAndEveryMissingByteIsReadOrRefused() {
        let text = Array(
            "\u{FEFF}%YAML 1.2\n---\nA: b # c\n\"B\": 'd''e'\nC: \"f\\n\\u00e9\n  g\"\r\nD: |+\n  h\n\n   é😀\nE: >-\n  i\n...\n".utf8
        )
        #expect(FormatSamples.read(text, .yaml).faults == [])
        for count in 0..<text.count {
            _ = FormatSamples.read(Array(text[..<count]), .yaml)
            _ = FormatSamples.read(Array(text[count...]), .yaml)
            _ = FormatSamples.read(Array(text[..<count] + text[(count + 1)...]), .yaml)
        }
    }
}
