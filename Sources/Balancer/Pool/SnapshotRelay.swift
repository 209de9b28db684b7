// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Synchronization

/// Carries snapshots from the control loop to all loops. Guarded by its mutex; the loops exist a moment later than the directory.
final class SnapshotRelay: Sendable {
    private let parts = Mutex<[LoopBound<BalancerLoop>]>([])

    func connect(_ parts: [LoopBound<BalancerLoop>]) {
        self.parts.withLock { $0 = parts }
    }

    /// Posts from one loop keep their order, so every loop ends with the newest snapshot.
    func publish(_ snapshot: PoolSnapshot, pool: Int) {
        for part in parts.withLock({ $0 }) {
            part.loop.post { part.value.adopt(snapshot, pool: pool) }
        }
    }
}
