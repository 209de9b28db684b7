// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier

/// How far a mutation has come with the environment's watchers: the `applied` of an answer to `?wait=applied`.
package struct AppliedCounts: Equatable, Sendable {
    package let acknowledging: Int
    package let applied: Int
    package let failed: Int
    package let pending: Int
    package let silent: Int

    package init(acknowledging: Int, applied: Int, failed: Int, pending: Int, silent: Int) {
        self.acknowledging = acknowledging
        self.applied = applied
        self.failed = failed
        self.pending = pending
        self.silent = silent
    }

    init(_ counts: WatcherCounts, of revision: Int64) {
        let progress = counts.progress(of: revision)
        self.init(
            acknowledging: counts.acknowledging,
            applied: progress.applied,
            failed: progress.failed,
            pending: progress.pending,
            silent: counts.silent
        )
    }
}

extension JSONWriter {
    /// Members of the object that is open.
    mutating func members(_ counts: AppliedCounts) {
        member("acknowledging", counts.acknowledging)
        member("applied", counts.applied)
        member("failed", counts.failed)
        member("pending", counts.pending)
        member("silent", counts.silent)
    }
}
