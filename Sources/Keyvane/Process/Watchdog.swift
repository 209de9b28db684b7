// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Tells the service manager that we live, as long as every loop answers: one that is stuck ends the process, and the manager starts another.
struct Watchdog: Sendable {
    let manager: ServiceManager
    let loops: LoopGroup

    /// Until the task is cancelled; through the drain too.
    func run(patience: Duration) async throws {
        while true {
            for loop in loops.loops { try await loop.run {} }
            manager.isAlive()
            // Half of it, so that one that comes late is no death.
            try await Task.sleep(for: patience / 2)
        }
    }
}
