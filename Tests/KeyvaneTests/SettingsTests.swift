// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Keyvane
import Testing

@Suite struct SettingsTests {
    /// Rows of docs/configuration.md by key: environment, default, meaning.
    private func documented() throws -> [String: [String]] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("docs/configuration.md"), encoding: .utf8)
        var rows: [String: [String]] = [:]
        for line in text.split(separator: "\n") where line.contains("`KEYVANE_") && line.hasPrefix("| `") {
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).map {
                $0.trimmingCharacters(in: CharacterSet(charactersIn: " `"))
            }
            rows[cells[1]] = Array(cells[2...4])
        }
        return rows
    }

    private func setting(_ key: String) throws -> Setting {
        try #require(Setting.all.first { $0.key == key })
    }

    @Test func theDocumentedTableIsTheCode() throws {
        let rows = try documented()
        #expect(Set(rows.keys) == Set(Setting.all.map(\.key)))
        for setting in Setting.all {
            #expect(rows[setting.key] == [setting.variable, setting.fallback ?? "", setting.summary])
        }
    }

    private static let origins: [(String, Set<String>?)] = [
        ("*", ["*"]), ("HTTPS://A.example:8443", ["https://a.example:8443"]), ("http://a, https://b ,*", ["http://a", "https://b", "*"]),
        ("", []), ("https://a/", nil), ("a.example", nil), ("ftp://a", nil), ("https://", nil), ("https://a,b", nil),
    ]

    @Test(arguments: origins) func originsAreWrittenAsBrowsersSendThem(_ text: String, _ origins: Set<String>?) async throws {
        let settings = try await Settings(flags: [try setting("origins"): text], environment: [:], file: nil)
        guard let origins else {
            let error = #expect(throws: SettingsError.self) { try settings.origins() }
            #expect(error?.description.contains("is no origin: write https://HOST[:PORT]") == true)
            return
        }
        #expect(try settings.origins() == origins)
    }

    private static let counts: [(String, Int?)] = [
        ("1", 1), ("10000", 10_000), ("10001", nil), ("0", nil), ("-1", nil), ("1.5", nil), ("many", nil), ("99999999999999999999", nil),
    ]

    @Test(arguments: counts) func aCountIsPositiveAndWithinItsLimit(_ text: String, _ count: Int?) async throws {
        let setting = try setting("maximumEnvironments")
        let settings = try await Settings(flags: [setting: text], environment: [:], file: nil)
        guard let count else {
            #expect(throws: SettingsError.self) { try settings.count(setting, atMost: 10_000) }
            return
        }
        #expect(try settings.count(setting, atMost: 10_000) == count)
    }
}
