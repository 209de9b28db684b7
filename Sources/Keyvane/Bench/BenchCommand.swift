// Keyvane
// SPDX-License-Identifier: Apache-2.0

// `keyvane bench`: the load generator behind the scripts of Benchmarks/, for this gateway and for its peers alike.
// Flows through: orders of a script on standard input to a fleet of sockets and a source of changes; one line of JSON back for each.
// Owner: the command owns two loops; the fleet and the run are confined to the first, database and Redis live on the second.
// Must hold: every server is asked by the same code; a change that did not arrive everywhere, once, is reported; nothing here is for production.

import ArgumentParser

/// The hidden group of load generators.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Generate load for the scripts of Benchmarks/.",
        shouldDisplay: false,
        subcommands: [FanoutCommand.self, PrepareCommand.self]
    )
}
