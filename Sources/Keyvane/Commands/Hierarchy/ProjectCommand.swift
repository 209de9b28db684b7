// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `keyvane project`.
struct ProjectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "project",
        abstract: "List, create and delete projects.",
        subcommands: [List.self, Create.self, Delete.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List the projects of a workspace.",
            discussion: """
                  keyvane project list acme
                """
        )

        @Argument(help: "The workspace.") var workspace: String
        @OptionGroup var options: ServiceOptions
        @Flag(help: "A JSON array.") var json = false

        func run() async throws {
            try await PlaceCommands(client: options.client()).list(try Place(workspace, .workspace).children, asJSON: json)
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create",
            abstract: "Make a project.",
            discussion: """
                  keyvane project create acme/web --parents --name "Web"
                """
        )

        @Argument(help: "Its path, like acme/web.") var path: String
        @OptionGroup var options: ServiceOptions
        @Option(help: "A name for people.") var name: String?
        @Flag(help: "Make what it stands in as well, where that is missing.") var parents = false
        @Flag(help: "The answer as JSON.") var json = false

        func run() async throws {
            let place = try Place(path, .project)
            let commands = PlaceCommands(client: try options.client())
            if parents { try await commands.createParents(of: place) }
            try await commands.create(place, name: name, asJSON: json)
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "delete",
            abstract: "Delete a project.",
            discussion: """
                Its audit is kept.

                  keyvane project delete acme/web --force
                """
        )

        @Argument(help: "Its path, like acme/web.") var path: String
        @OptionGroup var options: ServiceOptions
        @Flag(help: "Also when it isn't empty: everything in it goes too.") var force = false
        @Flag(help: "Don't ask.") var yes = false

        func run() async throws {
            let place = try Place(path, .project)
            try await PlaceCommands(client: options.client()).delete(place, force: force, yes: yes)
        }
    }
}
