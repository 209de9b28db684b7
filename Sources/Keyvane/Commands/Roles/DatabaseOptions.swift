// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// The flags of commands that reach the database by themselves, with the settings that an API has.
struct DatabaseOptions: ParsableArguments {
    @Option(help: "PostgreSQL URL. Better in KEYVANE_POSTGRES: others on this machine can read a command line.") var postgres: String?
    @Option(help: "File with the master keys.") var masterKeysFile: String?
    @Option(help: "YAML file with settings; flags and KEYVANE_* variables win over it.") var config: String?

    func settings() throws -> Settings {
        try Settings(
            flags: [Setting.postgres: postgres, .masterKeysFile: masterKeysFile].compactMapValues { $0 },
            environment: ProcessInfo.processInfo.environment,
            file: config
        )
    }
}
