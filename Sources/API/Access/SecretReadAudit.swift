// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Metrics
import Store

/// Sees to it that no secret leaves unrecorded: a row of the audit for each request that reads some, written within a second.
struct SecretReadAudit: Sendable {
    private let store: ConfigurationStore
    private let queue: AuditQueue

    init(store: ConfigurationStore, limit: Int, metrics: APIMetrics, logger: Logger) {
        self.store = store
        queue = AuditQueue(
            limit: limit,
            measured: { metrics.auditQueueBytes.set($0) },
            logger: logger
        ) { notes throws(StoreError) in try await store.record(notes) }
    }

    /// Until the task is cancelled; what waits then is still written.
    func run() async {
        await queue.run()
    }

    /// Where the queue is full, PostgreSQL is slow or away: this request then waits for its own row.
    /// - Throws: `unavailable`, and nothing may be shown.
    fileprivate func record(_ note: AuditNote) async throws(StoreError) {
        if !queue.append(note) { try await store.record([note]) }
    }
}

extension AuthorizedCall {
    /// For every route whose answer holds values of secrets, before it answers: `names` are those in it. Without any nothing is recorded.
    /// - Throws: `unavailable`, and the values must not be sent.
    func recordRead(of names: [String], in scope: EnvironmentScope) async throws(StoreError) {
        guard let first = names.first else { return }
        try await audit.record(
            AuditNote(
                actor: token.actor,
                action: "secret.read",
                place: scope.record.path.description,
                environmentID: scope.record.id,
                target: names.count == 1 ? first : "\(names.count) secrets",
                requestID: context.requestID
            )
        )
    }
}
