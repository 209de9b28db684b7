// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KeyvaneClient

/// `keyvane history`: who changed what when.
struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Print the versions of an entry, or the last changes of an environment.",
        discussion: """
            The newest first. Secrets are masked unless --reveal.

              keyvane history DB_HOST -e demo/shop/production
              keyvane history --limit 50 --json -e demo/shop/production
            """
    )

    @Argument(help: "The entry's name; without it the whole environment.") var name: String?
    @OptionGroup var options: ClientOptions
    @Option(help: "Lines at most.") var limit = 20
    @Flag(help: "Show the values of secrets.") var reveal = false
    @Flag(help: "A JSON array.") var json = false

    func validate() throws {
        guard (1...200).contains(limit) else { throw ValidationError("--limit \(limit) is not within 1 to 200") }
    }

    func run() async throws {
        let calls = try options.calls()
        if let name {
            try await printVersions(of: name, calls)
        } else {
            try await printChanges(calls)
        }
    }

    private func printVersions(of name: String, _ calls: EnvironmentCalls) async throws {
        var (isSecret, versions) = try await calls.versions(of: name, limit: limit)
        if isSecret, !reveal { versions = versions.map { $0.masked } }
        guard !json else { return try Terminal.json(versions) }
        let rows = versions.map { version in
            [
                "\(version.version)", "\(version.revision)", version.op,
                version.value ?? (isSecret && version.op == "set" ? WatchChange.mask : ""),
                version.at, version.by, version.note ?? "",
            ]
        }
        Columns(["VERSION", "REVISION", "OP", "VALUE", "AT", "BY", "NOTE"], numeric: [0, 1]).lines(rows).forEach(Terminal.line)
    }

    private func printChanges(_ calls: EnvironmentCalls) async throws {
        let changes = try await calls.changes(limit: limit, reveal: reveal).map { $0.masked(unless: reveal) }
        guard !json else { return try Terminal.json(changes) }
        let rows = changes.map { change in
            [
                "\(change.revision)", change.op.rawValue, change.name,
                change.value ?? (change.isSecret && change.op == .set ? WatchChange.mask : ""),
                change.at ?? "", change.by ?? "",
            ]
        }
        Columns(["REVISION", "OP", "NAME", "VALUE", "AT", "BY"], numeric: [0]).lines(rows).forEach(Terminal.line)
    }
}
