// Keyvane
// SPDX-License-Identifier: Apache-2.0

// A role's process: what runs in it, and how it ends.
// Flows through: stop signals into a graceful shutdown; components drained one after the other, the last started first.
// Owner: `Role.run` owns everything from the first connection to the exit code.
// Must hold: SIGTERM drains, SIGINT skips waiting, a second signal ends at once; a component that fails ends the process.

import ServiceLifecycle

/// One part of a role: `work` runs until it is cancelled, and `drain`, if any, comes before that.
struct Component: Service {
    let name: String
    let work: @Sendable () async throws -> Void
    let drain: @Sendable () async -> Void

    init(_ name: String, drain: @escaping @Sendable () async -> Void = {}, work: @escaping @Sendable () async throws -> Void) {
        self.name = name
        self.work = work
        self.drain = drain
    }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await work() }
            group.addTask {
                try await gracefulShutdown()
                await drain()
            }
            // Either the work has ended by itself, which is a failure that it reports, or it is drained and may be cancelled.
            defer { group.cancelAll() }
            do {
                try await group.next()
            } catch is CancellationError {
                // The group's own way to end us.
            }
        }
    }
}
