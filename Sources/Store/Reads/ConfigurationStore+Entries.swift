// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What is there now, and what happened since.
// Flows through: one prepared statement a read, pipelined on a few connections; rows become records on the caller's thread.
// Owner: nobody keeps anything; the gateway's feeds cache what they read.
// Must hold: each answer is one moment of the database (one statement each); whole transactions only; secrets stay sealed.

package import Foundation

extension ConfigurationStore {
    private static let entryColumns = """
        e.name, e.kind, e.value, e.version, e.revision, e.note, e.enabled, (extract(epoch FROM e.updated_at) * 1000)::bigint, e.updated_by
        """

    /// `base` is the position of the first of `entryColumns`.
    private static func entry(_ row: PostgresResult.Row, base: Int32 = 0) -> Entry {
        let kind = row.kind(base + 1)
        return Entry(
            name: row.text(base),
            kind: kind,
            value: row.optionalText(base + 2).map { StoredValue(kind: kind, text: $0) },
            version: row.integer(base + 3),
            revision: row.integer(base + 4),
            note: row.optionalText(base + 5),
            enabled: row.flag(base + 6),
            updatedAt: row.timestamp(base + 7),
            updatedBy: row.text(base + 8)
        )
    }

    private static let oneEntry = PostgresStatement(
        "entry",
        "SELECT \(entryColumns) FROM keyvane.entry e WHERE e.environment_id = $1::uuid AND e.name = $2 AND e.value IS NOT NULL"
    )

    /// Nil where there is none.
    package func entry(environmentID: UUID, name: String) async throws(StoreError) -> Entry? {
        let result = try await read(
            Self.oneEntry.call { parameters in
                parameters.add(environmentID)
                parameters.add(name)
            }
        )
        return result.first.map { Self.entry($0) }
    }

    private static let entryInEnvironment = PostgresStatement(
        "entry_in_environment",
        """
        SELECT v.*, \(entryColumns)
        FROM (SELECT \(environmentColumns) FROM keyvane.environment e WHERE e.path = $1) v
        LEFT JOIN keyvane.entry e ON e.environment_id = v.id AND e.name = $2 AND e.value IS NOT NULL
        """
    )

    /// An environment together with one of its entries, in one read; the entry is nil where there is none.
    /// - Throws: `not_found` for the environment.
    package func entry(
        in path: EnvironmentPath,
        name: String
    ) async throws(StoreError) -> (environment: EnvironmentRecord, entry: Entry?) {
        let result = try await read(
            Self.entryInEnvironment.call { parameters in
                parameters.add(path.description)
                parameters.add(name)
            }
        )
        guard let row = result.first else { throw StoreError(.notFound, "there is no such environment") }
        let base = Self.environmentColumnCount
        return (Self.environment(row), row.isNull(base) ? nil : Self.entry(row, base: base))
    }

    private static let entryPage = PostgresStatement(
        "entries",
        """
        SELECT \(entryColumns) FROM keyvane.entry e
        WHERE e.environment_id = $1::uuid AND e.name > $2 AND e.value IS NOT NULL AND ($3::text IS NULL OR e.kind = $3)
            AND ($5::text IS NULL OR position(lower($5) IN lower(e.name)) > 0)
        ORDER BY e.name LIMIT $4::bigint
        """
    )

    /// By name; `kind` nil is both. Disabled ones are among them.
    /// - Parameter text: what the name must contain, in either case.
    package func entries(
        environmentID: UUID,
        kind: EntryKind?,
        containing text: String? = nil,
        _ page: PageRequest
    ) async throws(StoreError) -> Page<Entry> {
        let result = try await read(
            Self.entryPage.call { parameters in
                parameters.add(environmentID)
                parameters.add(page.after ?? "")
                parameters.add(kind?.rawValue)
                parameters.add(Int64(page.limit + 1))
                parameters.add(text)
            }
        )
        return Page(result.rows.map { Self.entry($0) }, of: page, cursor: \.name)
    }

    private static let wholeEnvironment = PostgresStatement(
        "snapshot",
        """
        SELECT v.revision, v.mark, e.name, e.kind, e.value, e.version, e.revision
        FROM keyvane.environment v
        LEFT JOIN keyvane.entry e ON e.environment_id = v.id AND e.value IS NOT NULL AND e.enabled
        WHERE v.id = $1::uuid ORDER BY e.name
        """
    )

    /// - Throws: `not_found`.
    package func snapshot(environmentID: UUID) async throws(StoreError) -> Snapshot {
        let result = try await read(Self.wholeEnvironment.call { $0.add(environmentID) })
        guard let head = result.first else { throw StoreError(.notFound, "there is no such environment") }
        return Snapshot(revision: head.integer(0), mark: head.mark(1), entries: Self.snapshotEntries(result.rows, base: 2))
    }

    /// `base` is the position of name, kind, value, version and revision; the outer join's row without an entry is left out.
    static func snapshotEntries(_ rows: PostgresResult.Rows, base: Int32) -> [SnapshotEntry] {
        rows.lazy.filter { !$0.isNull(base) }.map { row in
            SnapshotEntry(
                name: row.text(base),
                kind: row.kind(base + 1),
                value: StoredValue(kind: row.kind(base + 1), text: row.text(base + 2)),
                version: row.integer(base + 3),
                revision: row.integer(base + 4)
            )
        }
    }
}
