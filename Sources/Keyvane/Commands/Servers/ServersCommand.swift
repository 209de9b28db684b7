// Keyvane
// SPDX-License-Identifier: Apache-2.0

// `keyvane servers`: the balancer's servers, from a shell.
// Flows through: flags and variables -> `AdminClient` (HTTP to the admin listener) -> a table, JSON, or a change and its progress.
// Owner: each command, for as long as it runs.
// Must hold: names are resolved against what is there before anything is changed; answers go to standard output, progress to a terminal.

import ArgumentParser

/// `keyvane servers`: list them, drain them, bring them back.
struct ServersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "servers",
        abstract: "List and drain the servers behind a balancer.",
        discussion: """
            It talks to the balancer's admin listener: --admin, or KEYVANE_ADMIN, or http://127.0.0.1:9100. A server is its name, or POOL/NAME
            where two pools have the same.

              keyvane servers list
              keyvane servers drain gateway-2 --wait && systemctl restart keyvane-gateway@2 && keyvane servers ready gateway-2
            """,
        subcommands: [List.self, Drain.self, Ready.self, Maintenance.self, Weight.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "Print every server with its state and load.",
            discussion: """
                  keyvane servers list
                  keyvane servers list --json | jq -r '.[] | select(.state != "up") | .name'
                """
        )

        @OptionGroup var options: AdminOptions
        @Flag(help: "A JSON array.") var json = false

        func run() async throws {
            let servers = try await options.withClient { try await $0.servers() }
            guard json else {
                ServerTable(servers).lines(inColour: Terminal.hasColour).forEach(Terminal.line)
                return
            }
            try Terminal.json(servers)
        }
    }

    struct Drain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "drain",
            abstract: "Send nobody new to a server, and let those go whom it has.",
            discussion: """
                Clients that are pinned to it are served until the balancer's drain deadline; then its tunnels are closed one by one.

                  keyvane servers drain api/web1 --wait
                """
        )

        @Argument(help: "The server: NAME or POOL/NAME.") var name: String
        @OptionGroup var options: AdminOptions
        @Flag(help: "Return once nothing goes to it any more.") var wait = false

        func run() async throws {
            try await options.withClient { client in
                let server = try await client.change(name, .init(state: "drain"))
                guard wait else {
                    Terminal.line("\(server.fullName) drains: \(server.remaining)")
                    return
                }
                try await waitUntilDrained(server, client)
            }
        }

        private func waitUntilDrained(_ first: BalancedServer, _ client: AdminClient) async throws {
            let progress = ProgressLine()
            var server = first
            while !server.isDrained {
                progress.show("\(server.fullName) drains: \(server.remaining)")
                try await Task.sleep(for: .milliseconds(250))
                server = try await client.server(server)
                guard server.administrativeState == "drain" else {
                    progress.clear()
                    throw RunError("\(server.fullName) is \(server.administrativeState) meanwhile; somebody else has changed it")
                }
            }
            progress.clear()
            Terminal.line("\(server.fullName) is drained")
        }
    }

    struct Ready: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ready",
            abstract: "Bring a server back, after a drain or maintenance.",
            discussion: """
                  keyvane servers ready api/web1
                """
        )

        @Argument(help: "The server: NAME or POOL/NAME.") var name: String
        @OptionGroup var options: AdminOptions

        func run() async throws {
            let server = try await options.withClient { try await $0.change(name, .init(state: "ready")) }
            Terminal.line("\(server.fullName) is ready: \(server.state)")
        }
    }

    struct Maintenance: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "maint",
            abstract: "Take a server out at once: no traffic and no checks.",
            discussion: """
                To let its clients go first, drain it.

                  keyvane servers maint api/web1
                """
        )

        @Argument(help: "The server: NAME or POOL/NAME.") var name: String
        @OptionGroup var options: AdminOptions

        func run() async throws {
            let server = try await options.withClient { try await $0.change(name, .init(state: "maint")) }
            Terminal.line("\(server.fullName) is in maintenance")
        }
    }

    struct Weight: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "weight",
            abstract: "Change a server's share of the traffic.",
            discussion: """
                With weight 0 it serves only the clients that are pinned to it.

                  keyvane servers weight api/web1 20
                """
        )

        @Argument(help: "The server: NAME or POOL/NAME.") var name: String
        @Argument(help: "0 to 256.") var weight: Int
        @OptionGroup var options: AdminOptions

        func validate() throws {
            guard (0...256).contains(weight) else { throw ValidationError("the weight \(weight) is not within 0 to 256") }
        }

        func run() async throws {
            let server = try await options.withClient { try await $0.change(name, .init(weight: weight)) }
            Terminal.line("\(server.fullName) has weight \(server.weight)")
        }
    }
}
