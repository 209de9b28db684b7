// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Who watches an environment, and how far the watchers that acknowledge have come: the ledger behind `?wait=applied`.
// Flows through: tallies of the gateway's loops into one record an environment in Redis; the records of all gateways into counts.
// Owner: a gateway writes its own records only, under a name that no other process ever has; Redis forgets them when it can't.
// Must hold: a watcher never seems further than it is; what is cut for size errs on that side; no value, name, secret or token is in it.

/// A watcher's last word was that it couldn't apply a revision.
package struct WatcherFailure: Codable, Hashable, Sendable {
    package let connection: String
    package let revision: Int64
    /// The watcher's own words, cut and without control characters.
    package let message: String

    package init(connection: String, revision: Int64, message: String) {
        self.connection = connection
        self.revision = revision
        self.message = message
    }
}

/// The watchers of one environment as somebody counts them; tallies of several loops add up. A value.
package struct WatcherTally: Equatable, Sendable {
    /// Failures that are told in full; the others are only counted.
    package static let failureLimit = 20

    struct Failing: Hashable {
        let applied: Int64
        /// Up to here its failure is its answer.
        let failed: Int64
    }

    private(set) var silent = 0
    /// Acknowledging watchers without a failure, by the revision that they have applied.
    private(set) var applied: [Int64: Int] = [:]
    private(set) var failing: [Failing: Int] = [:]
    /// The newest ones, newest first.
    private(set) var failures: [WatcherFailure] = []

    package init() {}

    package var isEmpty: Bool { silent == 0 && applied.isEmpty && failing.isEmpty }

    package mutating func add(silent count: Int) {
        silent += count
    }

    package mutating func add(applied revision: Int64, watchers: Int = 1) {
        applied[revision, default: 0] += watchers
    }

    /// A watcher that has applied one revision and whose failure answers for everything up to another.
    package mutating func add(applied revision: Int64, failedUpTo failed: Int64, watchers: Int = 1) {
        failing[Failing(applied: revision, failed: failed), default: 0] += watchers
    }

    /// `failure` is made only where it is among the newest.
    package mutating func note(failureAt revision: Int64, _ failure: () -> WatcherFailure) {
        if failures.count == Self.failureLimit {
            guard let oldest = failures.last, oldest.revision < revision else { return }
            failures.removeLast()
        }
        let place = failures.firstIndex { $0.revision < revision } ?? failures.endIndex
        failures.insert(failure(), at: place)
    }

    package mutating func add(_ other: WatcherTally) {
        silent += other.silent
        applied.merge(other.applied, uniquingKeysWith: +)
        failing.merge(other.failing, uniquingKeysWith: +)
        for failure in other.failures { note(failureAt: failure.revision) { failure } }
    }
}
