// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `keyvane workspace`.
struct WorkspaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workspace",
        abstract: "List, create and delete workspaces.",
        subcommands: [List.self, Create.self, Delete.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List the workspaces.",
            discussion: """
                  keyvane workspace list
                """
        )

        @OptionGroup var options: ServiceOptions
        @Flag(help: "A JSON array.") var json = false

        func run() async throws {
            try await PlaceCommands(client: options.client()).list("/v1/workspaces", asJSON: json)
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create",
            abstract: "Make a workspace.",
            discussion: """
                  keyvane workspace create acme --name "Acme"
                """
        )

        @Argument(help: "Its path, like acme.") var path: String
        @OptionGroup var options: ServiceOptions
        @Option(help: "A name for people.") var name: String?
        @Flag(help: "The answer as JSON.") var json = false

        func run() async throws {
            let place = try Place(path, .workspace)
            try await PlaceCommands(client: options.client()).create(place, name: name, asJSON: json)
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "delete",
            abstract: "Delete a workspace.",
            discussion: """
                Its audit is kept.

                  keyvane workspace delete acme --force
                """
        )

        @Argument(help: "Its path, like acme.") var path: String
        @OptionGroup var options: ServiceOptions
        @Flag(help: "Also when it isn't empty: everything in it goes too.") var force = false
        @Flag(help: "Don't ask.") var yes = false

        func run() async throws {
            let place = try Place(path, .workspace)
            try await PlaceCommands(client: options.client()).delete(place, force: force, yes: yes)
        }
    }
}
