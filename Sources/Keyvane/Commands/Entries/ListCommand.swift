// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KeyvaneClient

/// `keyvane list`: an environment's entries.
struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the entries of an environment.",
        discussion: """
            Disabled entries are listed too. Secrets are masked unless --reveal.

              keyvane list -e demo/shop/production
              keyvane list --search HOST --json -e demo/shop/production | jq -r '.[].name'
            """
    )

    @OptionGroup var options: ClientOptions
    @Option(help: "Only names that contain this text.") var search: String?
    @Flag(help: "Show the values of secrets.") var reveal = false
    @Flag(help: "A JSON array.") var json = false

    func run() async throws {
        let calls = try options.calls()
        var entries = try await calls.entries(search: search)
        if reveal { entries = try await revealed(entries, calls) }
        guard !json else { return try Terminal.json(entries) }
        guard !entries.isEmpty else {
            Terminal.note(search.map { "no name in \(calls.environment) contains '\($0)'" } ?? "\(calls.environment) has no entries")
            return
        }
        let rows = entries.map { entry in
            [
                entry.name, entry.value ?? WatchChange.mask, entry.enabled == false ? "disabled" : "", "\(entry.version)",
                entry.updatedAt ?? "", entry.updatedBy ?? "",
            ]
        }
        Columns(["NAME", "VALUE", "", "VERSION", "UPDATED", "BY"], numeric: [3]).lines(rows).forEach(Terminal.line)
    }

    /// Lists never reveal; a configuration does, to a token that may read secrets.
    private func revealed(_ entries: [EntryDetails], _ calls: EnvironmentCalls) async throws -> [EntryDetails] {
        let configuration = try await calls.client.configuration(calls.environment)
        if configuration.withheld ?? 0 > 0 {
            Terminal.note("\(configuration.withheld ?? 0) secrets stay masked: this token lacks the permission read_secrets")
        }
        return entries.map { entry in
            var entry = entry
            if entry.isSecret { entry.value = configuration[entry.name] }
            return entry
        }
    }
}
