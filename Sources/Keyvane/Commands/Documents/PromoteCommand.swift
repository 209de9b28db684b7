// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KeyvaneClient

/// `keyvane promote`: what differs, from another environment, as one transaction.
struct PromoteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote",
        abstract: "Copy what differs from another environment, as one transaction.",
        discussion: """
            It deletes nothing. keyvane diff --against previews it.

              keyvane diff --against demo/shop/staging -e demo/shop/production
              keyvane promote --from demo/shop/staging --names 'FEATURE_*' -e demo/shop/production
            """
    )

    @OptionGroup var options: ClientOptions
    @Option(help: "The environment to copy from.") var from: String
    @Option(help: "Only names that match: globs separated by commas.") var names: String?
    @Flag(help: "The answer as JSON.") var json = false

    private struct Promotion: Encodable {
        let from: String
        let names: [String]?
    }

    func run() async throws {
        let globs = names.map { $0.split(separator: ",").map(String.init) }
        let result = try await options.calls().act("promote", body: Promotion(from: from, names: globs))
        try Terminal.changes(result, asJSON: json)
    }
}
