// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// `keyvane migrate`: brings the database's schema to this program's version.
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Bring the database's schema up to date.",
        discussion: """
            Safe to repeat and to run from several places at once. Every API does the same when it starts.

              KEYVANE_POSTGRES=postgres://… KEYVANE_MASTER_KEYS=… keyvane migrate
            """
    )

    @Option(help: "PostgreSQL URL.") var postgres: String?
    @Option(help: "File with the master keys.") var masterKeysFile: String?

    func run() async throws {
        let settings = try await Settings(
            flags: [Setting.postgres: postgres, .masterKeysFile: masterKeysFile].compactMapValues { $0 },
            environment: ProcessInfo.processInfo.environment,
            file: nil
        )
        try await Composition.migrate(settings)
        Terminal.line("The schema is up to date.")
    }
}
