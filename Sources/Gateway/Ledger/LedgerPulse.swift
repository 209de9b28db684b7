// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Which environments' tallies have changed on any loop since they were last asked for. Guarded by its mutex; never longer than the list of
/// environments watched here, also while nobody asks.
package final class LedgerPulse: Sendable {
    private let changed = Mutex<Set<String>>([])
    /// From any loop; must not block.
    private let announce: @Sendable () -> Void

    package init(_ announce: @escaping @Sendable () -> Void) {
        self.announce = announce
    }

    func mark(_ environmentID: String) {
        let isFirst = changed.withLock { changed in
            defer { changed.insert(environmentID) }
            return changed.isEmpty
        }
        if isFirst { announce() }
    }

    package func take() -> Set<String> {
        changed.withLock { changed in
            defer { changed = [] }
            return changed
        }
    }
}
