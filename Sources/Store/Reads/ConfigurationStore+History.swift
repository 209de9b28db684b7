// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// One version of an entry, as the log has it.
package struct EntryVersion: Hashable, Sendable {
    package enum Operation: String, Hashable, Sendable {
        case set
        case delete
        case disable
        case enable
    }

    package let name: String
    package let version: Int64
    package let kind: EntryKind
    package let op: Operation
    /// Nil exactly for a delete.
    package let value: StoredValue?
    package let revision: Int64
    package let note: String?
    package let at: Timestamp
    package let by: String
}

extension ConfigurationStore {
    private static let versionColumns =
        "c.name, c.version, c.kind, c.action, c.value, c.revision, c.note, (extract(epoch FROM c.at) * 1000)::bigint, c.actor"

    private static func version(_ row: PostgresResult.Row, base: Int32) -> EntryVersion {
        let kind = row.kind(base + 2)
        return EntryVersion(
            name: row.text(base),
            version: row.integer(base + 1),
            kind: kind,
            // Making it is setting it.
            op: EntryVersion.Operation(rawValue: row.text(base + 3)) ?? .set,
            value: row.optionalText(base + 4).map { StoredValue(kind: kind, text: $0) },
            revision: row.integer(base + 5),
            note: row.optionalText(base + 6),
            at: row.timestamp(base + 7),
            by: row.text(base + 8)
        )
    }

    private static let oneVersion = PostgresStatement(
        "entry_version",
        """
        SELECT \(versionColumns) FROM keyvane.change c WHERE c.environment_id = $1::uuid AND c.name = $2 AND c.version = $3::bigint
        ORDER BY c.revision DESC LIMIT 1
        """
    )

    /// Nil where there is none, or none any more.
    func entryVersion(environmentID: UUID, name: String, version: Int64) async throws(StoreError) -> EntryVersion? {
        let result = try await read(
            Self.oneVersion.call { parameters in
                parameters.add(environmentID)
                parameters.add(name)
                parameters.add(version)
            }
        )
        return result.first.map { Self.version($0, base: 0) }
    }

    private static let versionPage = PostgresStatement(
        "entry_versions",
        """
        SELECT e.kind, \(versionColumns) FROM keyvane.entry e LEFT JOIN LATERAL (
            SELECT * FROM keyvane.change x WHERE x.environment_id = e.environment_id AND x.name = e.name AND x.version < $3::bigint
            ORDER BY x.revision DESC LIMIT $4::bigint
        ) c ON true
        WHERE e.environment_id = $1::uuid AND e.name = $2 ORDER BY c.revision DESC
        """
    )

    /// Newest first; of a deleted entry too. Nil where the name has never been there, or is of the other kind.
    /// - Throws: `invalid` for a cursor that isn't a version.
    package func versions(
        environmentID: UUID,
        name: String,
        kind: EntryKind,
        _ page: PageRequest
    ) async throws(StoreError) -> Page<EntryVersion>? {
        guard let before = page.after.map({ Int64($0) }) ?? Int64.max else {
            throw StoreError(.invalid, "cursor is not one that a list has answered with", field: "cursor")
        }
        let result = try await read(
            Self.versionPage.call { parameters in
                parameters.add(environmentID)
                parameters.add(name)
                parameters.add(before)
                parameters.add(Int64(page.limit + 1))
            }
        )
        guard let first = result.first, first.kind(0) == kind else { return nil }
        let found = result.rows.filter { !$0.isNull(1) }.map { Self.version($0, base: 1) }
        return Page(found, of: page) { String($0.version) }
    }

    private static let stateAt = PostgresStatement(
        "state_at",
        """
        SELECT v.revision, $2::bigint < v.trimmed_through, p.revision, p.mark, c.name, c.kind, c.value, c.version, c.revision, c.note, c.enabled,
            (extract(epoch FROM c.at) * 1000)::bigint, c.actor
        FROM keyvane.environment v
        LEFT JOIN LATERAL (
            SELECT y.revision, y.mark FROM keyvane.change x
            JOIN keyvane.change y ON y.environment_id = x.environment_id AND y.revision = x.last
            WHERE x.environment_id = v.id AND x.revision = $2::bigint
            UNION ALL SELECT 0, v.origin_mark WHERE $2::bigint = 0
        ) p ON true
        LEFT JOIN LATERAL (
            SELECT newest.* FROM keyvane.entry e CROSS JOIN LATERAL (
                SELECT * FROM keyvane.change x WHERE x.environment_id = v.id AND x.name = e.name AND x.revision <= p.revision
                ORDER BY x.revision DESC LIMIT 1
            ) newest
            WHERE e.environment_id = v.id AND newest.action <> 'delete'
        ) c ON true
        WHERE v.id = $1::uuid ORDER BY c.name
        """
    )

    private static let stateNow = PostgresStatement(
        "state_now",
        """
        SELECT v.revision, false, v.revision, v.mark, e.name, e.kind, e.value, e.version, e.revision, e.note, e.enabled,
            (extract(epoch FROM e.updated_at) * 1000)::bigint, e.updated_by
        FROM keyvane.environment v LEFT JOIN keyvane.entry e ON e.environment_id = v.id AND e.value IS NOT NULL
        WHERE v.id = $1::uuid ORDER BY e.name
        """
    )

    /// All entries, disabled ones too, as they were at a revision, or are. A revision inside of a transaction means the whole of it: nobody
    /// ever saw a part.
    /// - Throws: `not_found`; `revision_too_old` before what is kept; `invalid` for a revision beyond the head.
    package func state(environmentID: UUID, at revision: Int64? = nil) async throws(StoreError) -> EnvironmentState {
        let statement = revision == nil ? Self.stateNow : Self.stateAt
        let result = try await read(
            statement.call { parameters in
                parameters.add(environmentID)
                if let revision { parameters.add(revision) }
            }
        )
        guard let head = result.first else { throw StoreError(.notFound, "there is no such environment") }
        if head.flag(1) { throw StoreError(.revisionTooOld, "this revision is older than the history that is kept") }
        guard let reached = head.optionalInteger(2) else {
            throw StoreError(.invalid, "revision must be at most the environment's, \(head.integer(0))", field: "revision")
        }
        let entries = result.rows.lazy.filter { !$0.isNull(4) }.map { row in
            Entry(
                name: row.text(4),
                kind: row.kind(5),
                value: row.optionalText(6).map { StoredValue(kind: row.kind(5), text: $0) },
                version: row.integer(7),
                revision: row.integer(8),
                note: row.optionalText(9),
                enabled: row.flag(10),
                updatedAt: row.timestamp(11),
                updatedBy: row.text(12)
            )
        }
        return EnvironmentState(revision: reached, mark: head.mark(3), entries: Array(entries))
    }
}
