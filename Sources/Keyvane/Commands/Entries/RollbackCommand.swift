// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KeyvaneClient

/// `keyvane rollback`: an old value, or an old state, as a new one.
struct RollbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback",
        abstract: "Write an entry's old value, or the environment's old state, as a new version.",
        discussion: """
            History only grows: a rollback can be rolled back. keyvane history shows versions and revisions, keyvane diff what would change.

              keyvane rollback DB_HOST --version 3 -e demo/shop/production
              keyvane rollback --revision 57 -e demo/shop/production
            """
    )

    @Argument(help: "The entry's name, with --version.") var name: String?
    @OptionGroup var options: ClientOptions
    @Option(help: "The entry's version.") var version: Int?
    @Option(help: "The revision of the whole environment.") var revision: Int?
    @Flag(help: "The answer as JSON.") var json = false

    func validate() throws {
        switch (name, version, revision) {
        case (.some, .some, nil), (nil, nil, .some): break
        default: throw ValidationError("write either NAME --version N for one entry, or --revision N for the whole environment")
        }
    }

    func run() async throws {
        let calls = try options.calls()
        if let revision {
            let result = try await calls.act("rollback", body: ["revision": revision])
            try Terminal.changes(result, asJSON: json)
        } else if let name, let version {
            let entry = try await calls.act("rollback", on: name, body: ["version": version])
            try Terminal.entry(entry, "is what it was at version \(version)", asJSON: json)
        }
    }
}

extension Terminal {
    /// An entry after an action.
    static func entry(_ entry: EntryDetails, _ what: String, asJSON: Bool) throws {
        guard asJSON else { return line("revision \(entry.revision): \(entry.name) \(what)") }
        var shown = entry
        if entry.isSecret, entry.value != nil { shown.value = WatchChange.mask }
        try json(shown)
    }
}
