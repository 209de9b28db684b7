// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Testing

/// Whatever the file is, the answer is a configuration or faults.
@Suite struct BrokenYAMLTests {
    private func isRefused(_ text: String) -> Bool {
        do throws(BalancerError) {
            _ = try ConfigurationFile.parse(text, path: "b.yaml")
            return false
        } catch {
            return !error.faults.isEmpty
        }
    }

    @Test func brokenTexts() {
        let deep = String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000)
        let chain = "listeners: &a0 [x]\n" + (1...5000).map { "k\($0): &a\($0) [*a\($0 - 1)]\n" }.joined()
        let laughs = "a: &a0 [x,x]\n" + (1...60).map { "b\($0): &a\($0) [*a\($0 - 1),*a\($0 - 1)]\n" }.joined()
        let texts = [
            "", " ", "\n\n", "#", "---", "--- \n...\n---\n", "null", "~", "5", "listeners", "- a\n- b", "[]", "{}", "{", "}", "[", "]",
            "a: b: c",
            "a:\n\tb: c", "\"", "'", "a: 'b", "a: \"\\x\"", "a: \"\\uD800\"", "%YAML 9.9\n---\na: b", "a: !!binary x", "a: *nowhere",
            "*a : b",
            "&a a: b", "? [a, b] : c", "? {a: b}\n: c", "a: {a: b, a: c}", "a: b\na: c\na: d\na: e", "\"a\": 1\n'a': 2\na: 3",
            "? [a]\n? [a]",
            "a: |\n b\n c", "a: >-\n b", "\u{FEFF}a: b", "\u{0}", "a: \u{1}", "\u{E000}a: b", "<<: {a: b}", "a: &x [*x]", "@", "`", "%",
            "a: @b",
            "listeners: null", "listeners: {}", "listeners: [[[]]]", "listeners: [null]", "listeners: [{bind: {}}]", "pools: []",
            "pools: {a: null}", "pools: {a: []}", "pools: {a: {servers: {}}}", "pools: {? [a] : {}}", "pools: {1: {servers: [1]}}",
            "routes: {}", "limits: []", "admin: []", "admin: [off]", "sticky_keys_file: []", deep, chain, laughs,
            String(repeating: "a: b\n", count: 300), String(repeating: "&", count: 2000), String(repeating: "x", count: 100_000),
            "listeners: [" + String(repeating: "':80',", count: 1000) + "]",
        ]
        for text in texts { #expect(isRefused(text), "\(text.prefix(40))") }
    }

    /// The contract's example, cut at every place and with every byte changed once.
    @Test func damagedExamples() {
        let bytes = Array(ConfigurationFolder.example.utf8)
        var refused = 0
        for end in stride(from: 0, to: bytes.count, by: 41) {
            if isRefused(String(decoding: bytes[..<end], as: UTF8.self)) { refused += 1 }
        }
        // What it refers to isn't there, so nothing of it is ever good.
        #expect(refused == (bytes.count + 40) / 41)
        let noise = Array("{}[]:,'\"#&*!|>%@`-?\n\t \u{0}x0\\".utf8)
        for place in stride(from: 0, to: bytes.count, by: 19) {
            var damaged = bytes
            damaged[place] = noise[place % noise.count]
            #expect(isRefused(String(decoding: damaged, as: UTF8.self)), "byte \(place)")
        }
    }
}
