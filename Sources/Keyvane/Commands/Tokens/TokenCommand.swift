// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `keyvane token`: who may do what.
struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make, list and revoke tokens.",
        subcommands: [CreateTokenCommand.self, ListTokensCommand.self, RevokeTokenCommand.self]
    )
}
