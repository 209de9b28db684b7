// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Lines for people and pipes: each leaves at once, whole, without a buffer in between.
enum Terminal {
    static func line(_ text: String) {
        self.text("\(text)\n")
    }

    /// Without a line's end of its own.
    static func text(_ text: String) {
        // A reader that has gone (`| head -1`) ends us through the write's error, as SIGPIPE would.
        do { try FileHandle.standardOutput.write(contentsOf: Data(text.utf8)) } catch { exit(1) }
    }

    /// On a terminal, unless somebody wants none (https://no-color.org).
    static var hasColour: Bool {
        let none = ProcessInfo.processInfo.environment["NO_COLOR"] ?? ""
        return isatty(STDOUT_FILENO) == 1 && none.isEmpty
    }

    /// A value as JSON, keys in order, with every optional that is nil left out.
    static func json(_ value: some Encodable, pretty: Bool = true) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if pretty { encoder.outputFormatting.insert(.prettyPrinted) }
        line(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// Asks on a terminal; where there is none, nobody can agree.
    static func confirm(_ question: String) -> Bool {
        guard isatty(STDIN_FILENO) == 1 else { return false }
        try? FileHandle.standardError.write(contentsOf: Data("\(question) [y/N] ".utf8))
        return ["y", "yes"].contains(readLine()?.lowercased() ?? "")
    }

    /// What is not the answer itself goes to standard error, so that a pipe carries answers only.
    static func note(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data("\(text)\n".utf8))
    }
}
