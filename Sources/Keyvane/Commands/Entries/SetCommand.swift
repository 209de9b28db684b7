// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
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
        let (client, environment) = try options.client()
        let entries = try assignments.map(entry)
        let result = try await client.set(entries, in: environment)
        try Terminal.changes(result, asJSON: json)
    }

    private func entry(_ assignment: String) throws -> EntryAssignment {
        guard let sign = assignment.firstIndex(of: "=") else {
            return EntryAssignment(assignment, try SecretInput.ask(assignment), isSecret: true)
        }
        let (name, value) = (String(assignment[..<sign]), String(assignment[assignment.index(after: sign)...]))
        guard secret else { return EntryAssignment(name, value) }
        return EntryAssignment(name, value.hasPrefix("@") ? try SecretInput.contents(of: String(value.dropFirst())) : value, isSecret: true)
    }
}
