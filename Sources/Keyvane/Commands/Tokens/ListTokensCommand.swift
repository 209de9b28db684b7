// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KeyvaneClient

/// `keyvane token list`: the tokens that this one may see.
struct ListTokensCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List tokens, without their texts.",
        discussion: """
              keyvane token list
              keyvane token list --json | jq -r '.[] | select(.lastUsedAt == null) | .id'
            """
    )

    @OptionGroup var options: ServiceOptions
    @Flag(help: "A JSON array.") var json = false

    func run() async throws {
        let tokens = try await options.client().all("/v1/tokens", of: TokenDescription.self)
        guard !json else { return try Terminal.json(tokens) }
        let rows = tokens.map { token in
            [
                token.id, token.description ?? "", token.grants.map(\.text).joined(separator: " "), token.expiresAt ?? "never",
                token.lastUsedAt ?? "never",
            ]
        }
        Columns(["ID", "DESCRIPTION", "GRANTS", "EXPIRES", "LAST USED"]).lines(rows).forEach(Terminal.line)
    }
}
