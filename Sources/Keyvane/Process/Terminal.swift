// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Lines for people and pipes: each leaves at once, whole, without a buffer in between.
enum Terminal {
    static func line(_ text: String) {
        // A reader that has gone (`| head -1`) ends us through the write's error, as SIGPIPE would.
        do { try FileHandle.standardOutput.write(contentsOf: Data("\(text)\n".utf8)) } catch { exit(1) }
    }

    /// What is not the answer itself goes to standard error, so that a pipe carries answers only.
    static func note(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data("\(text)\n".utf8))
    }
}
