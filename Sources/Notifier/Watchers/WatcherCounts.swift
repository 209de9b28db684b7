// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The watchers of one environment on all gateways. A value, true for the moment at which Redis was asked.
package struct WatcherCounts: Equatable, Sendable {
    package struct Gateway: Hashable, Sendable {
        package let name: String
        package let watchers: Int
    }

    /// How a revision stands with the watchers that acknowledge.
    package struct Progress: Hashable, Sendable {
        package var applied = 0
        package var failed = 0
        package var pending = 0
    }

    package let silent: Int
    package let acknowledging: Int
    /// By name.
    package let gateways: [Gateway]
    /// The acknowledging ones by the revision that they have applied, newest first; 0 for those that have acknowledged nothing yet.
    package let byRevision: [WatcherRecord.Step]
    /// Newest first.
    package let failures: [WatcherFailure]
    private let records: [WatcherRecord]

    package var total: Int { silent + acknowledging }

    package init(_ records: [WatcherRecord]) {
        self.records = records
        var watchers: [String: Int] = [:]
        var steps: [Int64: Int] = [:]
        var (silent, acknowledging) = (0, 0)
        for record in records {
            for step in record.applied { steps[step.revision, default: 0] += step.watchers }
            for step in record.failing { steps[step.applied, default: 0] += step.watchers }
            let own = record.applied.reduce(0) { $0 + $1.watchers } + record.failing.reduce(0) { $0 + $1.watchers }
            silent += record.silent
            acknowledging += own
            // A gateway that was killed and started again is there twice until its first life expires.
            watchers[record.gateway, default: 0] += own + record.silent
        }
        self.silent = silent
        self.acknowledging = acknowledging
        gateways = watchers.sorted { $0.key < $1.key }.map { Gateway(name: $0.key, watchers: $0.value) }
        byRevision = steps.sorted { $0.key > $1.key }.map { WatcherRecord.Step(revision: $0.key, watchers: $0.value) }
        failures = records.flatMap(\.failures).sorted { ($1.revision, $0.connection) < ($0.revision, $1.connection) }
    }

    /// Who failed a later revision, or an earlier one that nothing visible has followed up to this one, has answered: nobody waits for him.
    package func progress(of revision: Int64) -> Progress {
        var progress = Progress()
        for record in records {
            for step in record.applied {
                if step.revision >= revision { progress.applied += step.watchers } else { progress.pending += step.watchers }
            }
            for step in record.failing {
                if step.applied >= revision {
                    progress.applied += step.watchers
                } else if step.failed >= revision {
                    progress.failed += step.watchers
                } else {
                    progress.pending += step.watchers
                }
            }
        }
        return progress
    }
}
