// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Synchronization

/// Carries changes from the control loop to all loops. Guarded by its mutex; the loops exist a moment later than the directory.
final class SnapshotRelay: Sendable {
    private let parts = Mutex<[LoopBound<BalancerLoop>]>([])

    func connect(_ parts: [LoopBound<BalancerLoop>]) {
        self.parts.withLock { $0 = parts }
    }

    /// Another configuration: settings and pools in one turn of each loop.
    func publish(_ settings: LoopSettings, _ snapshots: [PoolSnapshot]) {
        for part in parts.withLock({ $0 }) {
            part.loop.post { part.value.adopt(settings, snapshots: snapshots) }
        }
    }

    /// Posts from one loop keep their order, so every loop ends with the newest snapshot.
    func publish(_ change: PoolChange) {
        let parts = parts.withLock { $0 }
        for part in parts {
            part.loop.post { part.value.adopt(change, loops: parts.count) }
        }
    }
}
