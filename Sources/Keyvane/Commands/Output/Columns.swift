// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Rows in columns, for people; whoever reads by program asks for JSON.
struct Columns {
    private let headings: [String]
    private let numeric: Set<Int>

    /// - Parameter numeric: columns that are set to the right.
    init(_ headings: [String], numeric: Set<Int> = []) {
        self.headings = headings
        self.numeric = numeric
    }

    /// The headings and a line for each row. `paint` gets a padded cell by its row and column, and may put colour around it.
    func lines(_ rows: [[String]], paint: (_ cell: String, _ row: Int, _ column: Int) -> String = { cell, _, _ in cell }) -> [String] {
        let all = [headings] + rows.map { row in row.map(Self.oneLine) }
        let widths = headings.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.enumerated().map { line, row in
            let cells = row.indices.map { column in
                let blanks = String(repeating: " ", count: widths[column] - row[column].count)
                let isLast = column == row.count - 1
                let cell = numeric.contains(column) ? blanks + row[column] : row[column] + (isLast ? "" : blanks)
                return line == 0 ? cell : paint(cell, line - 1, column)
            }
            return cells.joined(separator: "  ")
        }
    }

    /// A value with lines or control characters in it would break the table, or the terminal.
    static func oneLine(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return text }
        return text.unicodeScalars.map { scalar in
            switch scalar {
            case "\n": "\\n"
            case "\t": "\\t"
            case "\r": "\\r"
            case _ where scalar.properties.generalCategory == .control: "\\u{\(String(scalar.value, radix: 16))}"
            default: String(scalar)
            }
        }.joined()
    }
}
