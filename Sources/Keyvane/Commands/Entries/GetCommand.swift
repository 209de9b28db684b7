// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KeyvaneClient

/// `keyvane get`: prints one value.
struct GetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Print the value of one entry.",
        discussion: """
            A secret is masked unless --reveal.

              keyvane get DB_HOST --environment demo/shop/production
              export API_KEY=$(keyvane get API_KEY --reveal -e demo/shop/production)
            """
    )

    @Argument(help: "The entry's name.") var name: String
    @OptionGroup var options: ClientOptions
    @Flag(help: "Show the value of a secret.") var reveal = false
    @Flag(help: "The whole entry as JSON.") var json = false

    func run() async throws {
        let (client, environment) = try options.client()
        let entry = try await client.get(name, in: environment)
        let value = entry.isSecret && !reveal ? WatchChange.mask : entry.value
        guard json else {
            guard let value else {
                throw RunError("\(name) is a secret, and this token may not read secrets: use one with the permission read_secrets")
            }
            Terminal.line(value)
            return
        }
        var shown = entry
        shown.value = entry.value == nil ? nil : value
        try Terminal.json(shown)
    }
}
