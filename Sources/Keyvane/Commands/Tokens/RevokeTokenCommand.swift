// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KeyvaneClient
import NIOHTTP1

/// `keyvane token revoke`.
struct RevokeTokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Take a token back; its connections end within a second.",
        discussion: """
            Connect tokens that it minted end with it.

              keyvane token revoke ab12cd34
            """
    )

    @Argument(help: "The token's id, as keyvane token list shows it.") var id: String
    @OptionGroup var options: ServiceOptions

    func validate() throws {
        guard !id.isEmpty, id.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }) else {
            throw ValidationError("'\(id)' is no token's id: keyvane token list shows them; the text of a token is none")
        }
    }

    func run() async throws {
        _ = try await options.client().call(.DELETE, "/v1/tokens/\(id)")
        Terminal.line("revoked \(id)")
    }
}
