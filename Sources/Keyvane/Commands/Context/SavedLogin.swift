// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// The server and the token of `keyvane login`, in a file that only its user can read.
package struct SavedLogin: Equatable, Codable {
    package let url: String
    package let token: String

    package init(url: String, token: String) {
        self.url = Self.normalised(url)
        self.token = token
    }

    /// Whether the token is meant for this server.
    func isFor(_ url: String) -> Bool { self.url == Self.normalised(url) }

    private static func normalised(_ url: String) -> String {
        url.hasSuffix("/") ? normalised(String(url.dropLast())) : url
    }

    /// `$XDG_CONFIG_HOME/keyvane/login.json`, by default under `~/.config`.
    package static func path(_ variables: [String: String]) -> String {
        let configured = variables["XDG_CONFIG_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
        let folder = configured ?? (variables["HOME"] ?? NSHomeDirectory()) + "/.config"
        return folder + "/keyvane/login.json"
    }

    /// nil where nobody has signed in.
    package static func load(_ path: String) throws(SettingsError) -> SavedLogin? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        guard status.st_mode & 0o077 == 0 else {
            throw SettingsError("\(path) can be read by others: chmod 600 it, and better make a new token")
        }
        do {
            return try JSONDecoder().decode(SavedLogin.self, from: try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw SettingsError("\(path) can't be read: sign in again with `keyvane login`")
        }
    }

    /// Whole or not at all, and never readable by others in between.
    package func save(_ path: String) throws(SettingsError) {
        do {
            try FileManager.default.createDirectory(
                at: URL(fileURLWithPath: path).deletingLastPathComponent(),
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
            try PrivateFile.write(try JSONEncoder().encode(self), to: path)
        } catch {
            throw SettingsError("\(path) can't be written: \(error.localizedDescription)")
        }
    }
}
