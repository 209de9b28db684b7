// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What somebody may have meant.
package enum NearestKey {
    /// The candidate that differs least, if it differs by a slip or two; case and the kind of dash are none.
    package static func find(_ word: String, among candidates: [String]) -> String? {
        let wanted = normalized(word)
        guard wanted.count <= 64 else { return nil }
        let distances = candidates.map { ($0, distance(wanted, normalized($0))) }
        guard let best = distances.min(by: { $0.1 < $1.1 }), best.1 <= max(1, wanted.count / 3) else { return nil }
        return best.0
    }

    private static func normalized(_ text: String) -> [Character] {
        Array(text.lowercased().replacing("-", with: "_"))
    }

    /// Levenshtein's, a row at a time.
    private static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var row = Array(0...right.count)
        for (i, character) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in right.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(above + 1, row[j] + 1, diagonal + (character == other ? 0 : 1))
                diagonal = above
            }
        }
        return row[right.count]
    }
}
