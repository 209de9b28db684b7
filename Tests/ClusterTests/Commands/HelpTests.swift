// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// What every command says of itself.
@Suite struct HelpTests {
    private struct Document: Decodable {
        let command: Command
    }

    private struct Command: Decodable {
        let commandName: String
        let discussion: String?
        let shouldDisplay: Bool?
        let subcommands: [Command]?
    }

    /// Everybody who asks for help sees a line that can be copied.
    @Test func everyCommandHasAnExample() async throws {
        let dump = try await DevProcess.run(["--experimental-dump-help"])
        let root = try JSONDecoder().decode(Document.self, from: Data(dump.output.utf8)).command
        let lacking = Self.leaves(root, path: root.commandName).filter { path, command in
            !(command.discussion ?? "").contains(path)
        }
        #expect(lacking.map(\.path) == [])
    }

    private static func leaves(_ command: Command, path: String) -> [(path: String, command: Command)] {
        let children = (command.subcommands ?? []).filter { $0.commandName != "help" && $0.shouldDisplay != false }
        guard !children.isEmpty else { return [(path, command)] }
        return children.flatMap { leaves($0, path: "\(path) \($0.commandName)") }
    }
}
