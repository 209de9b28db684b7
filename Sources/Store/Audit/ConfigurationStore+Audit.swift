// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Who did what when.
// Flows through: rows that mutations write in their own transactions, notes of reads in batches; pages of both, newest first.
// Owner: PostgreSQL; whoever reads for somebody keeps the notes until they are written (`AuditQueue` in API and gateway).
// Must hold: a note is written once however often it is sent; a row names its place by slugs, and so outlives it.

import Foundation

extension ConfigurationStore {
    private static let notes = PostgresStatement(
        "audit_notes",
        """
        INSERT INTO keyvane.audit (id, at, actor, action, place, environment_id, target, request_id)
        SELECT n.id, to_timestamp(n.at / 1000.0), n.actor, n.action, n.place, n.environment_id, n.target, n.request_id
        FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[])
            AS n (id, at, actor, action, place, environment_id, target, request_id)
        ON CONFLICT (id) DO NOTHING
        """
    )

    /// All of them or none.
    package func record(_ notes: [AuditNote]) async throws(StoreError) {
        guard !notes.isEmpty else { return }
        _ = try await write(
            Self.notes.call { parameters in
                parameters.add(notes.lazy.map(\.id))
                parameters.add(notes.lazy.map { Optional($0.at.milliseconds) })
                parameters.add(notes.lazy.map { Optional($0.actor) })
                parameters.add(notes.lazy.map { Optional($0.action) })
                parameters.add(notes.lazy.map { Optional($0.place) })
                parameters.add(notes.lazy.map { $0.environmentID?.lowercased })
                parameters.add(notes.lazy.map { Optional($0.target) })
                parameters.add(notes.lazy.map(\.requestID))
            }
        )
    }

    private static let auditPage = PostgresStatement(
        "audit_page",
        """
        SELECT a.id, (extract(epoch FROM a.at) * 1000)::bigint, a.actor, a.action, a.place, a.target, a.last, a.request_id
        FROM keyvane.audit a
        WHERE split_part(a.place, '/', 1) = $1
            AND (a.at, a.id) < (to_timestamp($2::float8 / 1000), $3::uuid)
            AND ($4::text[] IS NULL OR EXISTS (SELECT FROM unnest($4::text[]) p WHERE a.place = p OR starts_with(a.place, p || '/')))
        ORDER BY split_part(a.place, '/', 1) DESC, a.at DESC, a.id DESC LIMIT $5::bigint
        """
    )

    /// What happened in a workspace, newest first, also in one that is no more; `*` is what happened nowhere in particular.
    /// - Parameter places: projects and environments to which the caller is limited, as `workspace/project` and so on; nil for all of it.
    /// - Throws: `invalid` for a cursor that no page had.
    package func audit(workspace: String, _ page: PageRequest, within places: [String]? = nil) async throws(StoreError) -> Page<AuditItem> {
        let after = try page.after.map { text throws(StoreError) in try Self.moment(text) }
        let result = try await read(
            Self.auditPage.call { parameters in
                parameters.add(workspace)
                // The first page comes before everything, so that a page's start is always a condition of the index.
                parameters.add(after.map { String($0.milliseconds) } ?? "Infinity")
                parameters.add(after?.id.lowercased ?? "ffffffff-ffff-ffff-ffff-ffffffffffff")
                parameters.add(list: places)
                parameters.add(Int64(page.limit + 1))
            }
        )
        return Page(result.rows.map(AuditItem.init), of: page, cursor: \.cursor)
    }

    private static func moment(_ cursor: String) throws(StoreError) -> (milliseconds: Int64, id: UUID) {
        let parts = cursor.split(separator: "-", maxSplits: 1)
        guard parts.count == 2, let milliseconds = Int64(parts[0]), let id = UUID(uuidString: String(parts[1])),
            (0...253_402_300_799_999).contains(milliseconds)
        else { throw StoreError(.invalid, "cursor is not one of this list", field: "cursor") }
        return (milliseconds, id)
    }
}
