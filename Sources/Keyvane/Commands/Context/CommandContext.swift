// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Whom a command talks to, about what, and as whom.
// Flows through: flags, KEYVANE_* variables, `.keyvane.yaml` and the saved login become one `CommandContext`, then a client.
// Owner: each command resolves its context once, before it does anything.
// Must hold: a saved token goes to the server that it was saved for and to no other; a folder's file names an environment and can't name
//   a server, so that what somebody checked in never decides where a token goes.

import Foundation
import KeyvaneClient

/// A command's server, token and environment, each with the place it came from.
package struct CommandContext: Equatable {
    /// A text and who said it.
    package struct Value: Equatable {
        package let text: String
        package let source: String
    }

    package static let defaultURL = "http://127.0.0.1:8080"

    package let url: Value
    package let token: Value?
    package let environment: Value?

    /// Flags over variables over the folder's file and the saved login.
    package init(
        url: String? = nil,
        environment: String? = nil,
        variables: [String: String],
        folder: FolderContext?,
        login: SavedLogin?
    ) {
        func variable(_ name: String) -> Value? {
            variables[name].flatMap { $0.isEmpty ? nil : Value(text: $0, source: name) }
        }
        self.url =
            url.map { Value(text: $0, source: "--url") } ?? variable("KEYVANE_URL") ?? login.map {
                Value(text: $0.url, source: "keyvane login")
            }
            ?? Value(text: Self.defaultURL, source: "default")
        let server = self.url.text
        token =
            variable("KEYVANE_TOKEN")
            ?? login.flatMap { $0.isFor(server) ? Value(text: $0.token, source: "keyvane login") : nil }
        self.environment =
            environment.map { Value(text: $0, source: "--environment") } ?? variable("KEYVANE_ENVIRONMENT")
            ?? folder.map { Value(text: $0.environment, source: $0.path) }
    }

    /// A client of the server; without a token there is none.
    func client() throws -> ConfigurationClient {
        guard let token else {
            throw SettingsError("no token for \(url.text): sign in with `keyvane login \(url.text)`, or set KEYVANE_TOKEN")
        }
        return try ConfigurationClient(ClientSettings(url: url.text, token: token.text))
    }

    func requiredEnvironment() throws -> String {
        guard let environment else {
            throw SettingsError(
                "no environment: add --environment workspace/project/environment, set KEYVANE_ENVIRONMENT, or run `keyvane context use` here"
            )
        }
        return environment.text
    }
}
