// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import KeyvaneClient

/// `keyvane diff`: between revisions, or between environments.
struct DiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Print what differs between two revisions or two environments.",
        discussion: """
            Without revisions: the last change. With one: from it to now. Secrets are masked unless --reveal.

              keyvane diff -e demo/shop/production
              keyvane diff 31 57 -e demo/shop/production
              keyvane diff --against demo/shop/staging -e demo/shop/production
            """
    )

    @Argument(help: "A revision.") var from: Int?
    @Argument(help: "A later revision; default: now.") var to: Int?
    @OptionGroup var options: ClientOptions
    @Option(help: "Another environment: what it has and this one lacks is added.") var against: String?
    @Flag(help: "Show the values of secrets.") var reveal = false
    @Flag(help: "JSON, with names only.") var json = false

    func validate() throws {
        guard against == nil || from == nil else { throw ValidationError("write revisions or --against, not both") }
    }

    func run() async throws {
        let calls = try options.calls()
        let before: EnvironmentConfiguration
        let after: EnvironmentConfiguration
        let difference: Difference
        if let against {
            difference = try await calls.difference("against=" + ConfigurationClient.percentEncoded(against))
            guard !json else { return try Terminal.json(difference) }
            before = try await calls.client.configuration(calls.environment)
            after = try await calls.client.configuration(against)
        } else {
            let head = try await calls.head().revision
            let first = if let from { from } else { try await calls.beforeLastChange(head) }
            let last = to ?? head
            difference = try await calls.difference("from=\(first)&to=\(last)")
            guard !json else { return try Terminal.json(difference) }
            before = try await calls.client.configuration(calls.environment, at: first)
            after = try await calls.client.configuration(calls.environment, at: last)
        }
        guard !difference.isEmpty else { return Terminal.note("no difference") }
        DiffLines(difference, before, after, reveal: reveal).lines(inColour: Terminal.hasColour).forEach(Terminal.line)
    }
}

/// A line for each name: `+` is new, `-` is gone, `~` has another value.
struct DiffLines {
    private let difference: Difference
    private let before: EnvironmentConfiguration
    private let after: EnvironmentConfiguration
    private let reveal: Bool

    init(_ difference: Difference, _ before: EnvironmentConfiguration, _ after: EnvironmentConfiguration, reveal: Bool) {
        self.difference = difference
        self.before = before
        self.after = after
        self.reveal = reveal
    }

    func lines(inColour: Bool) -> [String] {
        let marked =
            difference.added.map { ($0, "+ \($0)=\(value($0, after))", "\u{1B}[32m") }
            + difference.removed.map { ($0, "- \($0)=\(value($0, before))", "\u{1B}[31m") }
            + difference.changed.map { ($0, "~ \($0): \(value($0, before)) -> \(value($0, after))", "\u{1B}[33m") }
        return marked.sorted { $0.0 < $1.0 }.map { _, text, colour in inColour ? "\(colour)\(text)\u{1B}[0m" : text }
    }

    /// Masked as well where the token may not read it.
    private func value(_ name: String, _ configuration: EnvironmentConfiguration) -> String {
        guard let entry = configuration.entry(name), reveal || !entry.isSecret else { return WatchChange.mask }
        return Columns.oneLine(entry.value)
    }
}
