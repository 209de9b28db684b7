// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Workspaces, their projects, their environments.
// Flows through: slugs in, records out; each creation with its audit row in one transaction.
// Owner: PostgreSQL; the ids are made here, so that a creation sent twice finds its own row instead of a conflict.
// Must hold: slugs are unique within their parent and never change; a new project has a data key from its first moment.

import Foundation

extension ConfigurationStore {
    static let workspaceColumns = """
        w.id, w.slug, w.name, w.description, (extract(epoch FROM w.created_at) * 1000)::bigint, (extract(epoch FROM w.updated_at) * 1000)::bigint
        """

    private static func record(_ row: PostgresResult.Row) -> WorkspaceRecord {
        WorkspaceRecord(
            id: row.uuid(0),
            slug: row.text(1),
            name: row.text(2),
            description: row.text(3),
            createdAt: row.timestamp(4),
            updatedAt: row.timestamp(5)
        )
    }

    private static let insertion = PostgresStatement(
        "workspace_create",
        """
        WITH made AS (
            INSERT INTO keyvane.workspace (id, slug, name, description, created_at, updated_at)
            VALUES ($1::uuid, $2, $3, $4, date_trunc('milliseconds', now()), date_trunc('milliseconds', now()))
            ON CONFLICT (slug) DO NOTHING RETURNING *
        ), audited AS (
            INSERT INTO keyvane.audit (id, at, actor, action, workspace_id, target, request_id)
            SELECT id, created_at, $5, 'workspace.create', id, slug, $6 FROM made
        )
        SELECT \(workspaceColumns) FROM made w UNION ALL SELECT \(workspaceColumns) FROM keyvane.workspace w WHERE w.id = $1::uuid
        """
    )

    /// - Throws: `invalid`, `conflict`.
    package func createWorkspace(
        slug: String,
        name: String? = nil,
        description: String? = nil,
        actor: String,
        requestID: String? = nil
    ) async throws(StoreError) -> WorkspaceRecord {
        try Self.check(slug, name, description)
        let result = try await write(
            Self.insertion.call { parameters in
                parameters.add(UUID())
                parameters.add(slug)
                parameters.add(name ?? slug)
                parameters.add(description ?? "")
                parameters.add(actor)
                parameters.add(requestID)
            }
        )
        guard let row = result.first else { throw Self.taken("workspace", slug) }
        return Self.record(row)
    }

    private static let bySlug = PostgresStatement("workspace", "SELECT \(workspaceColumns) FROM keyvane.workspace w WHERE w.slug = $1")

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
        SELECT \(workspaceColumns) FROM keyvane.workspace w WHERE w.slug > $1 AND ($2::text[] IS NULL OR w.slug = ANY ($2::text[]))
        ORDER BY w.slug LIMIT $3::bigint
        """
    )

    /// By slug; `only` narrows the list to those a caller may know of.
    package func workspaces(_ page: PageRequest, only slugs: [String]? = nil) async throws(StoreError) -> Page<WorkspaceRecord> {
        let result = try await read(
            Self.list.call { parameters in
                parameters.add(page.after ?? "")
                parameters.add(list: slugs)
                parameters.add(Int64(page.limit + 1))
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
