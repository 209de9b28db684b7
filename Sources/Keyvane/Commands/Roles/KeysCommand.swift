// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Store

/// `keyvane keys`: the master keys that wrap every project's data key.
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Make and rotate master keys.",
        subcommands: [Generate.self, Rotate.self]
    )

    struct Generate: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "generate",
            abstract: "Print a new master key for KEYVANE_MASTER_KEYS.",
            discussion: """
                Keep it where no database backup is: secrets can't be read without it.

                  export KEYVANE_MASTER_KEYS=$(keyvane keys generate)
                """
        )

        @Option(help: "The key's name: lower-case letters, digits and hyphens; another one for each key.") var id = "k1"

        func run() throws {
            do {
                Terminal.line(try KeyRing.generateKey(id: id))
            } catch {
                throw ValidationError("--\(error.message)")
            }
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rotate",
            abstract: "Wrap every project's data key by the first master key.",
            discussion: """
                Beside running APIs and gateways, safe to interrupt and to repeat. Before: give every process both keys, the new one last, and
                then the new one first. Afterwards the old one may go.

                  KEYVANE_MASTER_KEYS=k2:…,k1:… keyvane keys rotate
                """
        )

        @OptionGroup var database: DatabaseOptions

        func run() async throws {
            let settings = try database.settings()
            let rotation = try await Composition.withStore(settings) { try await $0.rotateKeys() }
            let wrapped = rotation.projects - rotation.remaining.values.reduce(0, +)
            Terminal.line(
                "\(wrapped) of \(rotation.projects) data keys are wrapped by master key '\(rotation.keyID)', \(rotation.rewrapped) of them by this run."
            )
            guard rotation.unreadable.isEmpty else {
                let projects = rotation.unreadable.joined(separator: ", ")
                throw RunError("the data keys of these projects can't be opened; restore them from a backup of the database: \(projects)")
            }
            for (id, count) in rotation.remaining.sorted(by: { $0.key < $1.key }) {
                Terminal.line("\(count) came to be under '\(id)' meanwhile: some process still has '\(id)' first.")
            }
            guard rotation.isComplete else {
                throw RunError("not done: give every API and gateway '\(rotation.keyID)' as its first key, then run this again")
            }
            Terminal.line(
                """
                Every other key may be taken away once each API and gateway has had '\(rotation.keyID)' first for 24 hours, \
                which is how long connect tokens and idempotency keys may need it.
                """
            )
        }
    }
}
