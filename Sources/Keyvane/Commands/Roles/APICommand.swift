// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `keyvane api`: one API process.
struct APICommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "api",
        abstract: "Run an API: REST, PostgreSQL, announcements.",
        discussion: """
            Stateless: run as many as you like on the same PostgreSQL, Redis and keys.

              KEYVANE_POSTGRES=postgres://… KEYVANE_MASTER_KEYS=$(keyvane keys generate) keyvane api --listen :8081
            """
    )

    @OptionGroup var instance: InstanceOptions
    @Option(help: "How long to go on serving after SIGTERM, while it reports draining.") var drainDelay: String?
    @OptionGroup var process: ProcessOptions

    func run() async throws {
        let flags = instance.flags.merging([.drainDelay: drainDelay].compactMapValues { $0 }) { $1 }
        try await process.start(.api, flags) { try await Composition.api($0) }
    }
}
