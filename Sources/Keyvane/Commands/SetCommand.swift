// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Glibc
import KeyvaneClient

/// `keyvane set`: writes entries in one transaction.
struct SetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Write variables or secrets, all in one transaction.",
        discussion: """
            A secret's value is asked for, or read from standard input or a file, so that it need not stand on the command line.

              keyvane set DB_HOST=10.0.0.5 DB_PORT=5432 --environment demo/shop/production
              keyvane set --secret API_KEY -e demo/shop/production
              keyvane set --secret TLS_KEY=@server.key -e demo/shop/production
            """
    )

    @Argument(help: "NAME=VALUE; with --secret also NAME (asked for, or standard input) and NAME=@FILE.") var assignments: [String]
    @OptionGroup var options: ClientOptions
    @Flag(help: "Write secrets: encrypted at rest, shown only to tokens that may read secrets.") var secret = false
    @Flag(help: "The answer as JSON.") var json = false

    func validate() throws {
        guard !assignments.isEmpty else { throw ValidationError("nothing to set: write NAME=VALUE") }
        for assignment in assignments where !secret && !assignment.contains("=") {
            throw ValidationError("'\(assignment)' has no value: write \(assignment)=VALUE, or --secret to be asked for it")
        }
        guard assignments.count(where: { !$0.contains("=") }) <= 1 || isatty(STDIN_FILENO) == 1 else {
            throw ValidationError("standard input holds one value only: set the secrets one by one, or with NAME=@FILE")
        }
    }

    func run() async throws {
        let (client, environment) = try await options.client()
        let entries = try assignments.map(entry)
        let result = try await client.set(entries, in: environment)
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            let shown = MutationSummary(revision: result.revision, changes: result.changes.map { $0.masked(unless: false) })
            Terminal.line(String(decoding: try encoder.encode(shown), as: UTF8.self))
        } else if result.changes.isEmpty {
            Terminal.line("nothing changed, revision \(result.revision)")
        } else {
            Terminal.line("revision \(result.revision): \(result.changes.map(\.name).joined(separator: ", "))")
        }
    }

    private struct MutationSummary: Encodable {
        let revision: Int
        let changes: [WatchChange]
    }

    private func entry(_ assignment: String) throws -> EntryAssignment {
        guard let sign = assignment.firstIndex(of: "=") else {
            return EntryAssignment(assignment, try secretValue(of: assignment), isSecret: true)
        }
        let (name, value) = (String(assignment[..<sign]), String(assignment[assignment.index(after: sign)...]))
        guard secret else { return EntryAssignment(name, value) }
        return EntryAssignment(name, value.hasPrefix("@") ? try contents(of: String(value.dropFirst())) : value, isSecret: true)
    }

    /// From a prompt that doesn't echo, or from standard input without the one newline that `echo` adds.
    private func secretValue(of name: String) throws -> String {
        if isatty(STDIN_FILENO) == 1 {
            guard let typed = getpass("\(name): ") else { throw SettingsError("no value was typed for \(name)") }
            return String(cString: typed)
        }
        let data = try FileHandle.standardInput.readToEnd() ?? Data()
        guard let text = String(data: data, encoding: .utf8) else { throw SettingsError("standard input is no UTF-8 text") }
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    private func contents(of path: String) throws -> String {
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw SettingsError("\(path) can't be read as UTF-8 text: \(error.localizedDescription)")
        }
    }
}
