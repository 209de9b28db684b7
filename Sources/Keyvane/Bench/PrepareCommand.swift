// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Store

/// `keyvane bench prepare`: what a watching fleet needs to be let in.
struct PrepareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prepare",
        abstract: "Make the environments bench/fanout/e0, e1, … and print a token that may read them.",
        discussion: """
            The database may be empty.

              keyvane bench prepare --channels 100
            """
    )

    @Option(help: "How many environments.") var channels = 1
    @OptionGroup var database: DatabaseOptions

    func run() async throws {
        try await BenchBackends.withBackends(try database.settings(), channels: channels) { backends in
            let grant = Grant(workspace: "bench", permissions: [.read])
            let (_, text) = try await backends.store.createToken(description: "fleet", grants: [grant], expiresAt: nil, createdBy: "root")
            Terminal.line(text)
        }
    }
}
