// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import KeyvaneClient

/// `keyvane context`: what other commands would use.
struct ContextCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "context",
        abstract: "Show or choose the server and environment that commands here use.",
        subcommands: [Show.self, Use.self],
        defaultSubcommand: Show.self
    )

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show",
            abstract: "Print the server and the environment, and where each comes from.",
            discussion: """
                  keyvane context
                  keyvane context show --json | jq -r .environment
                """
        )

        @OptionGroup var options: ServiceOptions
        @Flag(help: "One JSON object.") var json = false

        func run() throws {
            let context = try options.context()
            guard !json else {
                try Terminal.json(
                    Summary(
                        url: context.url.text,
                        urlSource: context.url.source,
                        tokenSource: context.token?.source,
                        environment: context.environment?.text,
                        environmentSource: context.environment?.source
                    )
                )
                return
            }
            // The token itself is nobody's business, on a shared screen least of all.
            let rows = [
                ["server", context.url.text, context.url.source],
                ["token", context.token == nil ? "none" : "set", context.token?.source ?? "keyvane login, or KEYVANE_TOKEN"],
                ["environment", context.environment?.text ?? "none", context.environment?.source ?? "keyvane context use W/P/E"],
            ]
            Columns(["", "VALUE", "FROM"]).lines(rows).forEach(Terminal.line)
        }

        private struct Summary: Encodable {
            let url: String
            let urlSource: String
            let tokenSource: String?
            let environment: String?
            let environmentSource: String?
        }
    }

    struct Use: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "use",
            abstract: "Choose the environment for this folder and those below.",
            discussion: """
                Writes .keyvane.yaml here. It names the environment only, so it can be checked in.

                  keyvane context use acme/web/production
                """
        )

        @Argument(help: "The environment, as workspace/project/environment.") var environment: String
        @OptionGroup var options: ServiceOptions

        func run() async throws {
            // A typing error is found now, not by the next command.
            _ = try await EnvironmentCalls(try options.client(), environment).head()
            let path = try FolderContext.write(environment, to: FileManager.default.currentDirectoryPath)
            Terminal.line("\(path): \(environment)")
        }
    }
}
