// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// `keyvane keys`: the master keys that wrap every project's data key.
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Make master keys.",
        subcommands: [Generate.self]
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

        @Option(help: "The key's name.") var id = "k1"

        func validate() throws {
            guard !id.isEmpty, id.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }) else {
                throw ValidationError("a key's name has ASCII letters, digits, - and _ only")
            }
        }

        func run() {
            var generator = SystemRandomNumberGenerator()
            let key = Data((0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
            Terminal.line("\(id):\(key.base64EncodedString())")
        }
    }
}
