// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Store

/// `keyvane token`: tokens made beside REST, for whoever has the database and the master keys.
struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make the first token.",
        subcommands: [Create.self]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create",
            abstract: "Make a token with every permission and print it, this once.",
            discussion: """
                It needs the settings of an API: KEYVANE_POSTGRES, and KEYVANE_MASTER_KEYS or a file of them.

                  export KEYVANE_TOKEN=$(keyvane token create --root)
                """
        )

        @Flag(help: "Every permission everywhere. Narrower tokens are made over REST, with this one.") var root = false
        @Option(help: "What it is for.") var description = "made by keyvane token create --root"
        @OptionGroup var database: DatabaseOptions

        func validate() throws {
            guard root else { throw ValidationError("add --root; narrower tokens are made over REST: POST /v1/tokens") }
        }

        func run() async throws {
            let description = description
            let (record, text) = try await Composition.withRunningStore(try await database.settings()) { store in
                try await store.createToken(description: description, grants: [.root], expiresAt: nil, isRoot: true, createdBy: "root")
            }
            Terminal.line(text)
            Terminal.note("It may do everything and is shown this once. To take it back: DELETE /v1/tokens/\(record.id)")
        }
    }
}
