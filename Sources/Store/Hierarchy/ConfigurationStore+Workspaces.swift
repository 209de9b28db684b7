// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Workspaces, their projects, their environments.
// Flows through: slugs in, records out; each mutation with its audit row and its receipt in one transaction.
// Owner: PostgreSQL; a mutation sent twice finds the receipt of the first time instead of a conflict with itself.
// Must hold: slugs are unique within their parent and never change; a new project has a data key from its first moment; what is deleted
// goes with everything below it, or not at all.

import Foundation

extension ConfigurationStore {
    private static let columns = [
        "w.id", "w.slug", "w.name", "w.description", "(extract(epoch FROM w.created_at) * 1000)::bigint",
        "(extract(epoch FROM w.updated_at) * 1000)::bigint", "w.version",
    ]
    private static let selected = columns.joined(separator: ", ")

    private static func record(_ row: PostgresResult.Row) -> WorkspaceRecord {
        WorkspaceRecord(
            id: row.uuid(0),
            slug: row.text(1),
            name: row.text(2),
            description: row.text(3),
            createdAt: row.timestamp(4),
            updatedAt: row.timestamp(5),
            version: row.integer(6)
        )
    }

    private static let insertion = ReceiptStatement(
        "workspace_create",
        parameters: 6,
        work: """
            made AS (
                INSERT INTO keyvane.workspace (id, slug, name, description, created_at, updated_at)
                VALUES ($1::uuid, $2, $3, $4, date_trunc('milliseconds', now()), date_trunc('milliseconds', now()))
                ON CONFLICT (slug) DO NOTHING RETURNING *
            ), audited AS (
                INSERT INTO keyvane.audit (id, at, actor, action, place, target, request_id)
                SELECT id, created_at, $5, 'workspace.create', slug, slug, $6 FROM made
            )
            """,
        columns: columns,
        from: "made w"
    )

    /// - Throws: `invalid`, `conflict`.
    package func createWorkspace(
        slug: String,
        name: String? = nil,
        description: String? = nil,
        actor: String,
        requestID: String? = nil,
        key: IdempotencyKey? = nil
    ) async throws(StoreError) -> WorkspaceRecord {
        try Self.check(slug, name, description)
        let receipt = try await once(key, Self.insertion, refusal: { _ in Self.taken("workspace", slug) }) { parameters in
            parameters.add(UUID())
            parameters.add(slug)
            parameters.add(name ?? slug)
            parameters.add(description ?? "")
            parameters.add(actor)
            parameters.add(requestID)
        }
        return Self.record(receipt.row)
    }

    private static let change = PlaceChange.statement(
        "workspace",
        find: "keyvane.workspace x WHERE x.slug = $7 AND $8::text IS NULL AND $9::text IS NULL",
        tag: "old.version::text",
        place: "slug",
        columns: columns,
        from: "present w"
    )

    /// - Throws: `invalid`, `not_found`, `precondition_failed`.
    package func changeWorkspace(
        _ slug: String,
        _ change: PlaceChange,
        _ origin: MutationOrigin
    ) async throws(StoreError) -> WorkspaceRecord {
        try change.validate()
        let place = Place.workspace(slug)
        let receipt = try await once(origin.key, Self.change, refusal: place.refusal) { change.fill(&$0, place, origin) }
        return Self.record(receipt.row)
    }

    private static let bySlug = PostgresStatement("workspace", "SELECT \(selected) FROM keyvane.workspace w WHERE w.slug = $1")

    /// - Throws: `not_found`.
    package func workspace(_ slug: String) async throws(StoreError) -> WorkspaceRecord {
        guard let row = try await read(Self.bySlug.call { $0.add(slug) }).first else {
            throw StoreError(.notFound, "there is no such workspace")
        }
        return Self.record(row)
    }

    private static let list = PostgresStatement(
        "workspaces",
        """
        SELECT \(selected) FROM keyvane.workspace w
        WHERE w.slug > $1 AND ($2::text[] IS NULL OR w.slug = ANY ($2::text[])) AND \(matches("w", "$4"))
        ORDER BY w.slug LIMIT $3::bigint
        """
    )

    /// By slug; `only` narrows the list to those a caller may know of, `text` to those with it in their slug or name.
    package func workspaces(
        _ page: PageRequest,
        only slugs: [String]? = nil,
        matching text: String? = nil
    ) async throws(StoreError) -> Page<WorkspaceRecord> {
        let result = try await read(
            Self.list.call { parameters in
                parameters.add(page.after ?? "")
                parameters.add(list: slugs)
                parameters.add(Int64(page.limit + 1))
                parameters.add(text)
            }
        )
        return Page(result.rows.map(Self.record), of: page, cursor: \.slug)
    }

    // MARK: Shared by the three levels

    static func check(_ slug: String, _ name: String?, _ description: String?) throws(StoreError) {
        try InputRules.slug(slug, field: "slug")
        if let name { try InputRules.title(name) }
        if let description { try InputRules.remark(description, field: "description") }
    }

    /// Without LIKE there is nothing in the text to escape.
    static func matches(_ table: String, _ parameter: String) -> String {
        "(\(parameter)::text IS NULL OR position(lower(\(parameter)) IN \(table).slug) > 0 "
            + "OR position(lower(\(parameter)) IN lower(\(table).name)) > 0)"
    }

    static func taken(_ what: String, _ slug: String) -> StoreError {
        StoreError(.conflict, "there is already a \(what) '\(slug)' here", field: "slug")
    }
}

extension PostgresParameters {
    /// An array, or NULL.
    mutating func add(list: [String]?) {
        if let list { add(list.lazy.map { Optional($0) }) } else { add(String?.none) }
    }
}
