// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Lines for people and pipes: each leaves at once, whole, without a buffer in between.
enum Terminal {
    static func line(_ text: String) {
        // A reader that has gone (`| head -1`) ends us through the write's error, as SIGPIPE would.
        do { try FileHandle.standardOutput.write(contentsOf: Data("\(text)\n".utf8)) } catch { exit(1) }
    }

    /// On a terminal, unless somebody wants none (https://no-color.org).
    static var hasColour: Bool {
        let none = ProcessInfo.processInfo.environment["NO_COLOR"] ?? ""
        return isatty(STDOUT_FILENO) == 1 && none.isEmpty
    }

    /// What is not the answer itself goes to standard error, so that a pipe carries answers only.
    static func note(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data("\(text)\n".utf8))
    }
}
