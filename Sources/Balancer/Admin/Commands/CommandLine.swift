// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// One line of the admin socket: commands between semicolons, words between blanks, a backslash before what stands for itself.
package struct CommandLine: Sendable, Equatable {
    package let commands: [[String]]

    package init(_ line: String) {
        var commands: [[String]] = []
        var words: [String] = []
        var word: String?
        var isEscaped = false
        for character in line.unicodeScalars {
            if isEscaped {
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == ";" || character == " " || character == "\t" || character == "\r" {
                if let ended = word { words.append(ended) }
                word = nil
                guard character == ";" else { continue }
                commands.append(words)
                words = []
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if let word { words.append(word) }
        self.commands = commands + [words]
    }
}
