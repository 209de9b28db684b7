// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Committed but perhaps not announced: a row is written in the mutation's transaction and removed once Redis has its message.
// Flows through: rows that the process that wrote them left behind, to whichever relay asks first.
// Owner: a claim makes a relay the owner for two seconds; a row without one belongs to the process that wrote it.
// Must hold: a row goes only after its message went; announcing twice is harmless, never announcing is not.

import Foundation

extension ConfigurationStore {
    private static let claim = PostgresStatement(
        "outbox_claim",
        """
        WITH due AS (
            SELECT environment_id, first FROM keyvane.outbox
            WHERE created_at < clock_timestamp() - $1::bigint * interval '1 millisecond'
                AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
            ORDER BY created_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED
        ), claimed AS (
            UPDATE keyvane.outbox o SET claimed_until = clock_timestamp() + interval '2 seconds' FROM due
            WHERE o.environment_id = due.environment_id AND o.first = due.first
            RETURNING o.environment_id, o.first, o.last, o.created_at
        )
        SELECT environment_id, first, last FROM claimed ORDER BY environment_id, first
        """
    )

    private static let lag = PostgresStatement(
        "outbox_lag",
        "SELECT (extract(epoch FROM clock_timestamp() - min(created_at)) * 1000)::bigint FROM keyvane.outbox"
    )

    /// The `limit` oldest transactions that have waited for longer than `age`, in order within each environment; nobody else gets them for two
    /// seconds.
    package func pendingAnnouncements(olderThan age: Duration, limit: Int) async throws(StoreError) -> [Announcement] {
        let lag = try await read(Self.lag.call())
        metrics.outboxLag(milliseconds: lag.first?.optionalInteger(0) ?? 0)
        let (seconds, attoseconds) = age.components
        let result = try await writeRelaxed(
            Self.claim.call { parameters in
                parameters.add(seconds * 1000 + attoseconds / 1_000_000_000_000_000)
                parameters.add(Int64(limit))
            }
        )
        return result.rows.map { Announcement(environmentID: $0.uuid(0), first: $0.integer(1), last: $0.integer(2)) }
    }

    private static let remove = PostgresStatement(
        "outbox_remove",
        """
        DELETE FROM keyvane.outbox o USING unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS a (id, first, last)
        WHERE o.environment_id = a.id AND o.first = a.first AND o.last = a.last
        """
    )

    /// After their messages went out. One that has grown by a collapse in the meantime stays.
    package func removeAnnouncements(_ announcements: [Announcement]) async throws(StoreError) {
        guard !announcements.isEmpty else { return }
        _ = try await writeRelaxed(
            Self.remove.call { parameters in
                parameters.add(announcements.lazy.map(\.environmentID))
                parameters.add(announcements.lazy.map { Optional($0.first) })
                parameters.add(announcements.lazy.map { Optional($0.last) })
            }
        )
    }

    private static let collapse = PostgresStatement(
        "outbox_collapse",
        """
        WITH old AS (
            SELECT environment_id, first FROM keyvane.outbox ORDER BY environment_id, first FOR UPDATE SKIP LOCKED
        ), gone AS (
            DELETE FROM keyvane.outbox o USING old WHERE o.environment_id = old.environment_id AND o.first = old.first
            RETURNING o.environment_id, o.first, o.last, o.created_at
        )
        INSERT INTO keyvane.outbox (environment_id, first, last, created_at)
        SELECT environment_id, min(first), max(last), min(created_at) FROM gone GROUP BY environment_id
        """
    )

    /// While Redis is away: one row an environment, so that the outbox doesn't grow with every change.
    package func collapseAnnouncements() async throws(StoreError) {
        _ = try await writeRelaxed(Self.collapse.call())
    }
}
