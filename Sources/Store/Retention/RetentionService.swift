// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What grows with time and is allowed to go: old changes, old audit rows, receipts and token events of a day ago.
// Flows through: a policy from the configuration, a lease so that one instance at a time works, small batches until nothing old is left.
// Owner: each API runs the service; PostgreSQL holds the lease.
// Must hold: an environment says how far it is trimmed before the first row goes, in the same database, so no reader takes a part for the
// whole; the state at every revision from there on, and the newest value of every name, stay.

package import Logging
import Synchronization

/// What to keep; nil keeps for ever.
package struct RetentionPolicy: Hashable, Sendable {
    /// Nothing younger is ever trimmed: receipts point into the log for a day.
    package static let minimum = Duration.seconds(24 * 60 * 60)

    package let changes: Duration?
    package let audit: Duration?

    package init(changes: Duration?, audit: Duration?) {
        self.changes = changes.map { max($0, Self.minimum) }
        self.audit = audit.map { max($0, Self.minimum) }
    }
}

/// Trims now and then for as long as it runs. Its policy is guarded by its mutex.
package final class RetentionService: Sendable {
    private static let interval = Duration.seconds(10 * 60)

    private let store: ConfigurationStore
    private let policy: Mutex<RetentionPolicy>
    private let logger: Logger

    package init(store: ConfigurationStore, policy: RetentionPolicy, logger: Logger) {
        self.store = store
        self.policy = Mutex(policy)
        self.logger = logger
    }

    /// Another policy, from the next round on.
    package func configure(_ new: RetentionPolicy) {
        policy.withLock { $0 = new }
    }

    /// Until the task is cancelled. What failed is tried again the next time; the log has one line when that begins, and one when it is over.
    package func run() async {
        var isFailing = false
        while !Task.isCancelled {
            switch await runOnce() {
            case .leftToAnother:
                break
            case .done:
                if isFailing { logger.notice("trimming works again") }
                isFailing = false
            case .failed(let error):
                if !isFailing, !Task.isCancelled { logger.warning("not trimmed", metadata: ["error": .string("\(error)")]) }
                isFailing = true
            }
            try? await Task.sleep(for: Self.interval)
        }
    }

    private enum Outcome {
        case done
        case leftToAnother
        case failed(StoreError)
    }

    private func runOnce() async -> Outcome {
        do throws(StoreError) {
            guard try await store.takeRetentionLease(for: Self.interval) else { return .leftToAnother }
        } catch {
            return .failed(error)
        }
        let trimmed = await store.trim(policy.withLock { $0 })
        if trimmed.changes + trimmed.audits > 0 {
            logger.info(
                "trimmed",
                metadata: ["changes": .stringConvertible(trimmed.changes), "audits": .stringConvertible(trimmed.audits)]
            )
        }
        return trimmed.failure.map(Outcome.failed) ?? .done
    }
}
