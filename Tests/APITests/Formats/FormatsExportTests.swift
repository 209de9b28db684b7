// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Testing
import Yams

@Suite struct FormatsExportTests {
    private static let oddNames = [
        "_", "yes", "NO", "null", "True", "on", "y", "N", "_1", "e1", "A.b-c", "export", String(repeating: "L", count: 255),
    ]

    @Test(arguments: [ConfigurationFormat.dotenv, .yaml])
    func everyValueComesBack(_ format: ConfigurationFormat) {
        let outcome = FormatSamples.read(FormatSamples.export(FormatSamples.entries, format), format)
        #expect(outcome.faults == [])
        #expect(outcome.pairs.count == FormatSamples.values.count)
        for (pair, entry) in zip(outcome.pairs, FormatSamples.entries) {
            #expect(pair.name == entry.name)
            #expect(Array(pair.value.utf8) == Array(entry.value.utf8))
        }
    }

    @Test func everyCharacterComesBack() {
        let scalars = (1...0x2FFF).compactMap(Unicode.Scalar.init).map { "a\(Character($0))b" }
        for format in [ConfigurationFormat.dotenv, .yaml] {
            let outcome = FormatSamples.read(FormatSamples.export(FormatSamples.entries(scalars), format), format)
            #expect(outcome.faults == [])
            #expect(outcome.values.map { Array($0.utf8) } == scalars.map { Array($0.utf8) })
        }
    }

    @Test func dotenvAndShellLeaveOutWhatAShellCannotHold() {
        let entries = [
            FormatSamples.entry("A", "1"), FormatSamples.entry("b.c", "2"), FormatSamples.entry("d-e", "3"),
            FormatSamples.entry("F", "it's $4"),
        ]
        #expect(
            String(decoding: FormatSamples.export(entries, .dotenv), as: UTF8.self) == """
                # Keyvane: acme/shop/production at revision 42
                A='1'
                # left out, because a shell can't hold such a name: b.c
                # left out, because a shell can't hold such a name: d-e
                F="it's \\$4"

                """
        )
        #expect(
            String(decoding: FormatSamples.export(entries, .shell), as: UTF8.self) == """
                # Keyvane: acme/shop/production at revision 42
                export A='1'
                # left out, because a shell can't hold such a name: b.c
                # left out, because a shell can't hold such a name: d-e
                export F='it'\\''s $4'

                """
        )
        #expect(
            String(decoding: FormatSamples.export(entries + [FormatSamples.entry("NO", "\u{7F}\u{2028}😀")], .yaml), as: UTF8.self) == """
                # Keyvane: acme/shop/production at revision 42
                A: "1"
                b.c: "2"
                d-e: "3"
                F: "it's $4"
                "NO": "\\x7F\\u2028😀"

                """
        )
    }

    @Test(arguments: [
        ("", "''"), ("b", "'b'"), ("$B \"c\" `d` # e\n", "'$B \"c\" `d` # e\n'"), ("C:\\new", "'C:\\new'"),
        ("\\\\host\\share\\", "\\\\host\\share\\"),
        ("it's", "\"it's\""), ("it's \"$B\"\n", "\"it's \\\"\\$B\\\"\\n\""), ("a\r\nb", "\"a\\r\\nb\""), ("a \\", "\"a \\\\\""),
    ])
    func dotenvIsQuotedAsOtherReadersNeedIt(_ value: String, _ quoted: String) {
        let document = FormatSamples.export([FormatSamples.entry("A", value)], .dotenv)
        #expect(String(decoding: document, as: UTF8.self) == "# Keyvane: acme/shop/production at revision 42\nA=\(quoted)\n")
    }

    /// Programs started from the shell get them too: the last variable is read from a child's environment.
    @Test func aShellRestoresEveryByte() async throws {
        let prints = FormatSamples.entries.map { "printf '%s\\0' \"$\($0.name)\"" }.joined(separator: "\n")
        let script = """
            . "$DOCUMENT" || exit 1
            \(prints)
            sh -c 'printf "%s\\0" "$KEPT"'
            """
        let entries = FormatSamples.entries + [FormatSamples.entry("KEPT", "a'b\n")]
        let output = try #require(try await FormatSamples.run(script, on: FormatSamples.export(entries, .shell)))
        let texts = FormatSamples.texts(output)
        #expect(texts.count == entries.count)
        for (text, entry) in zip(texts, entries) { #expect(Array(text.utf8) == Array(entry.value.utf8), "\(entry.name)") }
    }

    @Test func otherParsersReadTheSameYAML() async throws {
        let entries = FormatSamples.entries + Self.oddNames.map { FormatSamples.entry($0, "of \($0)") }
        let document = FormatSamples.export(entries, .yaml)
        let expected = Dictionary(uniqueKeysWithValues: entries.map { ($0.name, Array($0.value.utf8)) })
        let ours = try #require(try Yams.load(yaml: String(decoding: document, as: UTF8.self)) as? [String: String])
        let mark = Array("\u{FEFF}".utf8)
        // Foundation, with which Yams makes its texts, takes a byte order mark off their beginning.
        #expect(ours.mapValues { Array($0.utf8) } == expected.mapValues { $0.starts(with: mark) ? Array($0[mark.count...]) : $0 })
        let script = """
            python3 -c 'import yaml, os, sys
            for name, value in yaml.safe_load(open(os.environ["DOCUMENT"], "rb")).items():
                sys.stdout.buffer.write(name.encode() + b"\\0" + value.encode() + b"\\0")'
            """
        // PyYAML is another implementation, but not on every machine.
        guard try await FormatSamples.run("python3 -c 'import yaml'", on: []) != nil else { return }
        let texts = FormatSamples.texts(try #require(try await FormatSamples.run(script, on: document)))
        #expect(texts.count == 2 * entries.count)
        for index in 0..<min(texts.count / 2, entries.count) {
            #expect(texts[2 * index] == entries[index].name)
            #expect(Array(texts[2 * index + 1].utf8) == Array(entries[index].value.utf8), "\(entries[index].name)")
        }
    }

    @Test func kubernetesGetsASecret() throws {
        let entries = FormatSamples.entries + Self.oddNames.map { FormatSamples.entry($0, "of \($0)") }
        let text = String(decoding: FormatSamples.export(entries, .kubernetes), as: UTF8.self)
        let secret = try #require(try Yams.load(yaml: text) as? [String: Any])
        #expect(Set(secret.keys) == ["apiVersion", "kind", "metadata", "type", "data"])
        #expect(secret["apiVersion"] as? String == "v1")
        #expect(secret["kind"] as? String == "Secret")
        #expect(secret["type"] as? String == "Opaque")
        let metadata = try #require(secret["metadata"] as? [String: Any])
        #expect(metadata["name"] as? String == "acme-shop-production")
        #expect(metadata["annotations"] as? [String: String] == ["keyvane/environment": "acme/shop/production", "keyvane/revision": "42"])
        let data = try #require(secret["data"] as? [String: String])
        // Kubernetes' own limit for a key.
        let held = entries.filter { $0.name.utf8.count <= 253 }
        #expect(data.count == held.count && held.count == entries.count - 1)
        for entry in held {
            #expect(data[entry.name].flatMap { Data(base64Encoded: $0) } == Data(entry.value.utf8), "\(entry.name)")
            #expect(entry.name.wholeMatch(of: #/[-._a-zA-Z0-9]{1,253}/#) != nil)
        }
        #expect(text.contains("# left out, because a Secret can't hold such a name: LLL"))
    }

    @Test(arguments: [
        ("a/b/c", "a-b-c"), ("-/b/-", "b"), ("A_b/c.d/é", "a-b-c-d"), ("///", "keyvane"),
        (String(repeating: "a", count: 252) + "/b", String(repeating: "a", count: 252)),
    ])
    func theNameOfASecretIsValid(_ environment: String, _ name: String) throws {
        let document = ConfigurationExport.render([], as: .kubernetes, environment: environment, revision: 1)
        let secret = try #require(try Yams.load(yaml: String(decoding: document, as: UTF8.self)) as? [String: Any])
        let metadata = try #require(secret["metadata"] as? [String: Any])
        #expect(metadata["name"] as? String == name)
        #expect((secret["data"] as? [String: Any])?.isEmpty == true)
    }

    @Test func anEmptyConfigurationIsAValidDocument() async throws {
        for format in [ConfigurationFormat.dotenv, .yaml] {
            #expect(FormatSamples.read(FormatSamples.export([], format), format).faults == [])
        }
        #expect(try await FormatSamples.run(". \"$DOCUMENT\"", on: FormatSamples.export([], .shell)) == [])
    }

    @Test func everyFormatHasItsType() {
        #expect(
            ConfigurationFormat.allCases.map(\.contentType) == [
                "application/json", "text/plain; charset=utf-8", "application/yaml; charset=utf-8", "text/plain; charset=utf-8",
                "application/yaml; charset=utf-8",
            ]
        )
    }

    /// Anything quadratic in ten times what an environment holds would take hours.
    @Test func theTimeGrowsWithTheEntries() {
        let value = String(repeating: "it's $1\n", count: 10)
        let entries = (0..<50_000).map { FormatSamples.entry("NAME_\($0)", value) }
        let duration = ContinuousClock().measure {
            for format in [ConfigurationFormat.dotenv, .yaml, .shell, .kubernetes] {
                let document = FormatSamples.export(entries, format)
                guard ConfigurationFormat.importable.contains(format) else { continue }
                #expect(FormatSamples.read(document, format).pairs.count == entries.count)
            }
        }
        #expect(duration < .seconds(120))
    }
}
