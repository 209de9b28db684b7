// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Values that need not stand on a command line, where other users of the machine could read them.
enum SecretInput {
    /// From a prompt that doesn't echo, or from standard input without the one newline that `echo` adds.
    static func ask(_ prompt: String) throws(SettingsError) -> String {
        if isatty(STDIN_FILENO) == 1 {
            guard let typed = getpass("\(prompt): ") else { throw SettingsError("nothing was typed") }
            return String(cString: typed)
        }
        let data: Data
        do {
            data = try FileHandle.standardInput.readToEnd() ?? Data()
        } catch {
            throw SettingsError("standard input can't be read: \(error.localizedDescription)")
        }
        guard let text = String(data: data, encoding: .utf8) else { throw SettingsError("standard input is no UTF-8 text") }
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    /// A file's text.
    static func contents(of path: String) throws(SettingsError) -> String {
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw SettingsError("\(path) can't be read as UTF-8 text: \(error.localizedDescription)")
        }
    }
}
