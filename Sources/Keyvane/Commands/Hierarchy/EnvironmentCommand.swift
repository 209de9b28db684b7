// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `keyvane environment`.
struct EnvironmentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "environment",
        abstract: "List, create and delete environments.",
        subcommands: [List.self, Create.self, Delete.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List the environments of a project.",
            discussion: """
                  keyvane environment list acme/web
                """
        )

        @Argument(help: "The project.") var project: String
        @OptionGroup var options: ServiceOptions
        @Flag(help: "A JSON array.") var json = false

        func run() async throws {
            try await PlaceCommands(client: options.client()).list(try Place(project, .project).children, asJSON: json)
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create",
            abstract: "Make an environment.",
            discussion: """
                  keyvane environment create acme/web/production --parents --name "Production"
                """
        )

        @Argument(help: "Its path, like acme/web/production.") var path: String
        @OptionGroup var options: ServiceOptions
        @Option(help: "A name for people.") var name: String?
        @Flag(help: "Make what it stands in as well, where that is missing.") var parents = false
        @Flag(help: "The answer as JSON.") var json = false

        func run() async throws {
            let place = try Place(path, .environment)
            let commands = PlaceCommands(client: try options.client())
            if parents { try await commands.createParents(of: place) }
            try await commands.create(place, name: name, asJSON: json)
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "delete",
            abstract: "Delete an environment.",
            discussion: """
                Its entries and their history go; watchers are told. The audit is kept.

                  keyvane environment delete acme/web/production
                """
        )

        @Argument(help: "Its path, like acme/web/production.") var path: String
        @OptionGroup var options: ServiceOptions
        @Flag(help: "Don't ask.") var yes = false

        func run() async throws {
            let place = try Place(path, .environment)
            try await PlaceCommands(client: options.client()).delete(place, force: false, yes: yes)
        }
    }
}
