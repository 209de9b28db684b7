// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Whether this instance is on its way out. Goes from false to true once.
final class DrainState: Sendable {
    private let draining = Atomic<Bool>(false)

    var isDraining: Bool { draining.load(ordering: .acquiring) }

    /// - Returns: false when somebody else has begun before.
    func begin() -> Bool {
        !draining.exchange(true, ordering: .acquiringAndReleasing)
    }
}
