// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KeyvaneClient

/// `keyvane unset`: deletes entries in one transaction.
struct UnsetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unset",
        abstract: "Delete entries, all in one transaction.",
        discussion: """
            Their history stays: keyvane rollback NAME brings one back. A name that isn't there is none of its business.

              keyvane unset OLD_HOST OLD_PORT -e demo/shop/production
            """
    )

    @Argument(help: "Names.") var names: [String]
    @OptionGroup var options: ClientOptions
    @Flag(help: "The answer as JSON.") var json = false

    func run() async throws {
        let (client, environment) = try options.client()
        try Terminal.changes(try await client.set([], delete: names, in: environment), asJSON: json)
    }
}
