// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Store

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

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
        try await Composition.withStore(try database.settings()) { try await $0.migrate() }
        Terminal.line("The schema is up to date.")
    }
}
