// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
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
        let (client, environment) = try await options.client()
        let globs = names.map { $0.split(separator: ",").map(String.init) } ?? []
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        for try await event in client.watch(environment, names: globs) {
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
                        ),
                        encoder
                    )
                }
                Terminal.note("at revision \(snapshot.revision), waiting for changes")
            case .changes(let changes):
                for change in changes.changes { try printChange(change, encoder) }
            case .disconnected(let interruption):
                Terminal.note("\(interruption.error.message) Trying again in \(interruption.retryAfter).")
            }
        }
    }

    private func printChange(_ change: WatchChange, _ encoder: JSONEncoder) throws {
        let shown = change.masked(unless: reveal)
        if json {
            Terminal.line(String(decoding: try encoder.encode(shown), as: UTF8.self))
        } else if change.op == .delete {
            Terminal.line("\(change.revision)  unset  \(change.name)")
        } else {
            Terminal.line("\(change.revision)  set    \(change.name)=\(shown.value ?? "")")
        }
    }
}

extension WatchChange {
    static let mask = "********"

    func masked(unless reveal: Bool) -> WatchChange {
        guard isSecret, !reveal, value != nil else { return self }
        return WatchChange(
            op: op,
            name: name,
            value: Self.mask,
            isSecret: true,
            version: version,
            revision: revision,
            at: at,
            by: by
        )
    }
}
