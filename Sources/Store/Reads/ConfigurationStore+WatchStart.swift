// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// What somebody needs who is to show an environment from now on.
package struct WatchStart: Sendable {
    package let environmentID: UUID
    package let key: ProjectKey
    package let snapshot: Snapshot
    /// The end of the log, which was read after the snapshot: what was committed in between is in it.
    package let changes: [Change]
}

extension ConfigurationStore {
    private static let startKey = PostgresStatement(
        "watch_start_key",
        "SELECT v.id, p.id, p.wrapped_key FROM keyvane.environment v JOIN keyvane.project p ON p.id = v.project_id WHERE v.path = $1"
    )

    private static let startSnapshot = PostgresStatement(
        "watch_start_snapshot",
        """
        SELECT v.id, v.revision, v.mark, e.name, e.kind, e.value, e.version, e.revision
        FROM keyvane.environment v
        LEFT JOIN keyvane.entry e ON e.environment_id = v.id AND e.value IS NOT NULL AND e.enabled
        WHERE v.path = $1 ORDER BY e.name
        """
    )

    private static let startChanges = PostgresStatement(
        "watch_start_changes",
        """
        SELECT v.id, \(changeColumns)
        FROM keyvane.environment v LEFT JOIN LATERAL (
            SELECT * FROM keyvane.change x WHERE x.environment_id = v.id AND x.revision > greatest(v.revision - $2::bigint, v.trimmed_through)
            ORDER BY x.revision
        ) c ON true
        WHERE v.path = $1 ORDER BY c.revision
        """
    )

    /// An environment with its last `history` changes, in one round trip.
    /// - Throws: `not_found`; `unavailable` where it was deleted and made again in that very moment.
    package func watchStart(_ path: EnvironmentPath, history: Int) async throws(StoreError) -> WatchStart {
        let name = path.description
        let results = try await read([
            Self.startKey.call { $0.add(name) },
            Self.startSnapshot.call { $0.add(name) },
            Self.startChanges.call { parameters in
                parameters.add(name)
                parameters.add(Int64(history))
            },
        ])
        guard results.count == 3 else { throw StoreError(.internalError, "the database gave no answer to a statement") }
        guard let place = results[0].first, let head = results[1].first, let log = results[2].first else {
            throw StoreError(.notFound, "there is no such environment")
        }
        let id = place.uuid(0)
        guard head.uuid(0) == id, log.uuid(0) == id else { throw .unavailable("the environment is being made anew") }
        let snapshot = Snapshot(
            revision: head.integer(1),
            mark: head.mark(2),
            entries: Self.snapshotEntries(results[1].rows, base: 3)
        )
        let changes = log.isNull(1) ? [] : results[2].rows.map { Self.change($0, environmentID: id, base: 1) }
        let key = try projectKey(environmentID: id, projectID: place.uuid(1), wrapped: place.text(2))
        return WatchStart(environmentID: id, key: key, snapshot: snapshot, changes: changes)
    }
}
