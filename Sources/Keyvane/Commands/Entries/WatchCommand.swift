// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KeyvaneClient

/// `keyvane watch`: prints each change as it arrives.
struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Print each change of an environment as it arrives.",
        discussion: """
            Starts with what is there now, reconnects by itself and misses nothing. Secrets are masked unless --reveal.

              keyvane watch --environment demo/shop/production
              keyvane watch -e demo/shop/production --names 'FEATURE_*' --json | jq .name
            """
    )

    @OptionGroup var options: ClientOptions
    @Option(help: "Only names that match: a glob, or several separated by commas.") var names: String?
    @Flag(help: "One JSON object a line.") var json = false
    @Flag(help: "Show the values of secrets.") var reveal = false

    func run() async throws {
        let (client, environment) = try options.client()
        let globs = names.map { $0.split(separator: ",").map(String.init) } ?? []
        for try await event in client.events(environment, names: globs) {
            switch event {
            case .connected(let connection):
                Terminal.note("watching \(environment) through \(connection.gateway)")
            case .snapshot(let snapshot):
                for entry in snapshot.entries {
                    try printChange(
                        WatchChange(
                            op: .set,
                            name: entry.name,
                            value: entry.value,
                            isSecret: entry.isSecret,
                            version: entry.version,
                            revision: entry.revision
                        )
                    )
                }
                Terminal.note("at revision \(snapshot.revision), waiting for changes")
            case .changes(let changes):
                for change in changes.changes { try printChange(change) }
            case .disconnected(let interruption):
                Terminal.note("\(interruption.error.message) Trying again in \(interruption.retryAfter).")
            }
        }
    }

    private func printChange(_ change: WatchChange) throws {
        let shown = change.masked(unless: reveal)
        if json {
            try Terminal.json(shown, pretty: false)
        } else if change.op == .delete {
            Terminal.line("\(change.revision)  unset  \(change.name)")
        } else {
            Terminal.line("\(change.revision)  set    \(change.name)=\(shown.value ?? "")")
        }
    }
}
