// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

extension ConfigurationStore {
    /// An environment's log, as a page of them shows it.
    private struct Log {
        let environmentID: UUID
        let trimmedThrough: Int64
        /// Something behind that is older than what is kept.
        let hasOld: Bool
    }

    private static let logsAPage = 200

    private static let logPage = PostgresStatement(
        "retention_logs",
        """
        SELECT e.id, e.trimmed_through, coalesce(oldest.at < now() - $2::bigint * interval '1 millisecond', false)
        FROM keyvane.environment e LEFT JOIN LATERAL (
            SELECT c.at FROM keyvane.change c WHERE c.environment_id = e.id AND c.revision > e.trimmed_through ORDER BY c.revision LIMIT 1
        ) oldest ON true
        WHERE e.id > $1::uuid ORDER BY e.id LIMIT \(logsAPage)
        """
    )

    /// Environment by environment, what is older than so many milliseconds. One that fails is passed over; when its successor fails too, it isn't the environment's fault.
    ///
    /// What another process has marked, or this one before it was interrupted, is found by its mark: it isn't where this process has swept to.
    func trimLogs(olderThan age: Int64, _ trimmed: inout Trimmed) async throws(StoreError) {
        var last = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
        var failures = 0
        while !Task.isCancelled {
            let page = try await maintain(
                Self.logPage.call { parameters in
                    parameters.add(last)
                    parameters.add(age)
                }
            )
            let logs = page.rows.map { Log(environmentID: $0.uuid(0), trimmedThrough: $0.integer(1), hasOld: $0.flag(2)) }
            for log in logs where !Task.isCancelled {
                do throws(StoreError) {
                    let point = try await mark(log, olderThan: age)
                    try await sweep(log.environmentID, upTo: point, &trimmed.changes)
                    failures = 0
                } catch {
                    failures += 1
                    trimmed.failure = trimmed.failure ?? error
                    if failures > 1 { throw error }
                }
            }
            guard logs.count == Self.logsAPage, let end = logs.last else { break }
            last = end.environmentID
        }
    }

    /// From a point to the end of the last transaction in its reach that is too old to be kept, with none before it that isn't. All rows of a
    /// transaction have the same age.
    private static let step = PostgresStatement(
        "retention_step",
        """
        SELECT max(w.last) FROM (
            SELECT x.last, bool_and(x.at < now() - $3::bigint * interval '1 millisecond') OVER (ORDER BY x.revision) AS is_old FROM (
                SELECT c.revision, c.last, c.at FROM keyvane.change c
                WHERE c.environment_id = $1::uuid AND c.revision > $2::bigint ORDER BY c.revision LIMIT \(retentionBatch)
            ) x
        ) w WHERE w.is_old
        """
    )

    private static let marking = PostgresStatement(
        "retention_mark",
        "UPDATE keyvane.environment SET trimmed_through = $2::bigint WHERE id = $1::uuid AND trimmed_through < $2::bigint"
    )

    /// - Returns: the revision through which the log is trimmed from now on.
    private func mark(_ log: Log, olderThan age: Int64) async throws(StoreError) -> Int64 {
        guard log.hasOld else { return log.trimmedThrough }
        var point = log.trimmedThrough
        while !Task.isCancelled {
            let result = try await maintain(
                Self.step.call { parameters in
                    parameters.add(log.environmentID)
                    parameters.add(point)
                    parameters.add(age)
                }
            )
            guard let next = result.first?.optionalInteger(0), next > point else { break }
            point = next
        }
        guard point > log.trimmedThrough else { return point }
        // Mutations wait for this row, so it is locked once, and not for the walk.
        _ = try await maintain(
            Self.marking.call { parameters in
                parameters.add(log.environmentID)
                parameters.add(point)
            }
        )
        return point
    }

    /// A step of a pass from the oldest row to the point: what a later change of the same name had replaced by then goes, and a deletion, unless
    /// something before the step is left that it deletes; what it deletes in the step goes with it. The row at the point itself stays: its mark
    /// tells this history from another.
    private static let sweeping = PostgresStatement(
        "retention_sweep",
        """
        WITH step AS MATERIALIZED (
            SELECT y.revision, y.name, y.action FROM keyvane.change y
            WHERE y.environment_id = $1::uuid AND y.revision > $2::bigint AND y.revision < $3::bigint ORDER BY y.revision LIMIT \(retentionBatch)
        ), gone AS (
            DELETE FROM keyvane.change c WHERE c.environment_id = $1::uuid AND c.revision = ANY (ARRAY(
                SELECT y.revision FROM step y
                WHERE EXISTS (
                        SELECT FROM keyvane.change z WHERE z.environment_id = $1::uuid AND z.name = y.name
                            AND z.revision > y.revision AND z.revision <= $3::bigint)
                    OR (y.action = 'delete' AND NOT EXISTS (
                        SELECT FROM keyvane.change z WHERE z.environment_id = $1::uuid AND z.name = y.name AND z.revision <= $2::bigint))
            )) RETURNING c.revision
        )
        SELECT max(revision), (SELECT count(*) FROM gone) FROM step
        """
    )

    /// One pass, each row looked at once. Only a whole one counts as done.
    private func sweep(_ environmentID: UUID, upTo point: Int64, _ total: inout Int) async throws(StoreError) {
        guard point > 0, swept.withLock({ $0[environmentID] }) != point else { return }
        var reached: Int64 = 0
        while !Task.isCancelled {
            let result = try await maintain(
                Self.sweeping.call { parameters in
                    parameters.add(environmentID)
                    parameters.add(reached)
                    parameters.add(point)
                }
            )
            guard let row = result.first, let last = row.optionalInteger(0) else {
                swept.withLock { $0[environmentID] = point }
                return
            }
            reached = last
            total += Int(row.integer(1))
        }
    }
}
