// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor

/// How many rows went, and why not all that could.
package struct Trimmed: Sendable {
    package var changes = 0
    package var audits = 0
    /// The first of what went wrong; everything else was still tried.
    package var failure: StoreError?
}

extension ConfigurationStore {
    /// Rows a statement: short enough that nobody waits for its locks.
    static let retentionBatch: Int64 = 1_000

    private static let lease = PostgresStatement(
        "retention_lease",
        """
        INSERT INTO keyvane.setting AS s (name, value) VALUES ('retention', now()::text)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE s.value::timestamptz < now() - $1::bigint * interval '1 millisecond'
        RETURNING name
        """
    )

    /// False while another instance has done it within the interval.
    func takeRetentionLease(for interval: Duration) async throws(StoreError) -> Bool {
        try await maintain(Self.lease.call { $0.add(interval.wholeMilliseconds.signed) }).first != nil
    }

    private static let auditTrimming = PostgresStatement(
        "retention_audit",
        """
        DELETE FROM keyvane.audit a USING (
            SELECT id FROM keyvane.audit WHERE at < now() - $1::bigint * interval '1 millisecond' ORDER BY at LIMIT $2::bigint
        ) old WHERE a.id = old.id RETURNING a.id
        """
    )

    private static let receiptTrimming = PostgresStatement(
        "retention_receipts",
        """
        DELETE FROM keyvane.receipt r USING (
            SELECT token, key FROM keyvane.receipt WHERE created_at < now() - interval '24 hours' ORDER BY created_at LIMIT $1::bigint
        ) old WHERE r.token = old.token AND r.key = old.key AND r.created_at < now() - interval '24 hours' RETURNING r.key
        """
    )

    /// Everything older than the policy keeps, batch after batch; what is short work first, and nothing waits for what fails.
    package func trim(_ policy: RetentionPolicy) async -> Trimmed {
        var trimmed = Trimmed()
        if let age = policy.audit {
            do throws(StoreError) {
                try await untilNone(&trimmed.audits) {
                    Self.auditTrimming.call { parameters in
                        parameters.add(age.wholeMilliseconds.signed)
                        parameters.add(Self.retentionBatch)
                    }
                }
            } catch {
                trimmed.failure = error
            }
        }
        do throws(StoreError) {
            var others = 0
            try await untilNone(&others) { Self.receiptTrimming.call { $0.add(Self.retentionBatch) } }
            try await untilNone(&others) { Self.tokenEventTrimming.call { $0.add(Self.retentionBatch) } }
        } catch {
            trimmed.failure = trimmed.failure ?? error
        }
        if let age = policy.changes {
            do throws(StoreError) {
                try await trimLogs(olderThan: age.wholeMilliseconds.signed, &trimmed)
            } catch {
                trimmed.failure = trimmed.failure ?? error
            }
        }
        return trimmed
    }

    private func untilNone(_ total: inout Int, _ call: () -> PostgresCall) async throws(StoreError) {
        while !Task.isCancelled {
            let count = try await maintain(call()).rows.count
            if count == 0 { break }
            total += count
        }
    }
}

extension UInt64 {
    fileprivate var signed: Int64 { Int64(clamping: self) }
}
