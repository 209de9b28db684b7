// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `keyvane gateway`: one gateway process.
struct GatewayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway",
        abstract: "Run a gateway: it holds the sockets of watchers.",
        discussion: """
            Run as many as you like on the same PostgreSQL, Redis and keys.

              KEYVANE_POSTGRES=postgres://… KEYVANE_MASTER_KEYS=… keyvane gateway --listen :8091
            """
    )

    @OptionGroup var instance: InstanceOptions
    @OptionGroup var limits: GatewayOptions
    @OptionGroup var process: ProcessOptions

    func run() async throws {
        try await process.start(.gateway, instance.flags.merging(limits.flags) { $1 }) {
            try await Composition.gateway($0, echoes: limits.echo)
        }
    }
}
