// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Glibc
import KeyvaneClient

/// `keyvane login`: keeps a server and a token for later commands.
struct LoginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login",
        abstract: "Sign in to a server; later commands use it.",
        discussion: """
            The token is asked for, or read from standard input. It is tried before it is kept, in ~/.config/keyvane/login.json, which
            only you can read.

              keyvane login https://config.example.com
              keyvane login http://127.0.0.1:8080 < token.txt
            """
    )

    @Argument(help: "The service's URL.") var url: String = CommandContext.defaultURL

    func run() async throws {
        let variables = ProcessInfo.processInfo.environment
        let token = try SecretInput.ask("Token for \(url)").trimmingCharacters(in: .whitespacesAndNewlines)
        let description = try await ConfigurationClient(ClientSettings(url: url, token: token)).whoami()
        try SavedLogin(url: url, token: token).save(SavedLogin.path(variables))
        Terminal.line("Signed in to \(url) as \(description.label).")
        for name in ["KEYVANE_URL", "KEYVANE_TOKEN"] where variables[name]?.isEmpty == false {
            Terminal.note("\(name) is set and wins over this login.")
        }
    }
}

/// `keyvane logout`: forgets it.
struct LogoutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logout",
        abstract: "Forget the saved server and token.",
        discussion: """
            The token stays valid: to take it back, use keyvane token revoke.

              keyvane logout
            """
    )

    func run() throws {
        let path = SavedLogin.path(ProcessInfo.processInfo.environment)
        guard unlink(path) == 0 else {
            guard errno == ENOENT else { throw RunError("\(path) can't be removed: \(String(cString: strerror(errno)))") }
            Terminal.line("Nobody was signed in.")
            return
        }
        Terminal.line("Signed out.")
    }
}

extension TokenDescription {
    /// For people: the id, and what it is for.
    var label: String {
        guard let description, !description.isEmpty else { return "token \(id)" }
        return "token \(id) (\(description))"
    }
}
