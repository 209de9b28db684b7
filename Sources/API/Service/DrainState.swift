// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Whether this instance wants no more work: for good, once its process is told to end, or until an operator says otherwise.
final class DrainState: Sendable {
    private let draining = Atomic<Bool>(false)
    private let asked = Atomic<Bool>(false)

    var isDraining: Bool { draining.load(ordering: .acquiring) || asked.load(ordering: .acquiring) }

    /// - Returns: false when somebody else has begun before.
    func begin() -> Bool {
        !draining.exchange(true, ordering: .acquiringAndReleasing)
    }

    /// - Returns: false where it changes nothing: it has been asked before, or the process is on its way out.
    func ask(toDrain isDraining: Bool) -> Bool {
        let before = asked.exchange(isDraining, ordering: .acquiringAndReleasing)
        return before != isDraining && !draining.load(ordering: .acquiring)
    }
}
