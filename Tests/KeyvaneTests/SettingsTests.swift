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

    @Test func theDocumentedTableIsTheCode() throws {
        let rows = try documented()
        #expect(Set(rows.keys) == Set(Setting.all.map(\.key)))
        for setting in Setting.all {
            #expect(rows[setting.key] == [setting.variable, setting.fallback ?? "", setting.summary])
        }
    }
}
