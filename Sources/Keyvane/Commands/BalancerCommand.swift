// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Balancer

/// `keyvane balancer`: one balancer process.
struct BalancerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "balancer",
        abstract: "Run the sticky load balancer in front of APIs and gateways, or of anything.",
        discussion: """
            Pools named api and gateway get the routes of a cluster; a single pool takes everything.

              keyvane balancer --listen :8080 --pool api=127.0.0.1:8081,127.0.0.1:8082 --pool gateway=127.0.0.1:8091
            """
    )

    @Option(help: "Address to listen on: HOST:PORT, :PORT or unix:/PATH.") var listen: String?
    @Option(help: "NAME=SERVER,SERVER…; a server is HOST:PORT, or NAME@HOST:PORT. Repeatable.") var pool: [String] = []
    @Option(help: "Address of the admin listener, with metrics and servers.") var admin: String?
    @Option(help: "The instance's name in logs.") var name: String?
    @Option(help: "Access log: json or off.") var accessLog: String?
    @Option(help: "Event loops.") var loops: String?
    @OptionGroup var process: ProcessOptions

    func validate() throws {
        guard !pool.isEmpty else { throw ValidationError("no servers: give at least one --pool NAME=HOST:PORT") }
    }

    func run() async throws {
        let flags = [Setting.listen: listen, .admin: admin, .name: name, .accessLog: accessLog, .loops: loops].compactMapValues { $0 }
        let pools = try pool.map { text in
            do throws(BalancerError) {
                return try PoolFlag.parse(text)
            } catch {
                throw ValidationError(error.message)
            }
        }
        try await Role.run("balancer", try await process.settings(flags), checkOnly: process.checkConfig) {
            try await Composition.balancer($0, pools: pools)
        }
    }
}
