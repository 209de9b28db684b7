// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

extension ConfigurationStore {
    private static let columns = [
        "p.id", "p.workspace_id", "w.slug", "p.slug", "p.name", "p.description", "(extract(epoch FROM p.created_at) * 1000)::bigint",
        "(extract(epoch FROM p.updated_at) * 1000)::bigint", "p.version",
    ]
    private static let selected = columns.joined(separator: ", ")

    private static func record(_ row: PostgresResult.Row) -> ProjectRecord {
        ProjectRecord(
            id: row.uuid(0),
            workspaceID: row.uuid(1),
            workspace: row.text(2),
            slug: row.text(3),
            name: row.text(4),
            description: row.text(5),
            createdAt: row.timestamp(6),
            updatedAt: row.timestamp(7),
            version: row.integer(8)
        )
    }

    private static let insertion = ReceiptStatement(
        "project_create",
        parameters: 9,
        work: """
            parent AS (
                SELECT * FROM keyvane.workspace WHERE slug = $1
            ), made AS (
                INSERT INTO keyvane.project (id, workspace_id, slug, name, description, wrapped_key, master_key_id, created_at, updated_at)
                SELECT $2::uuid, id, $3, $4, $5, $6, $7, date_trunc('milliseconds', now()), date_trunc('milliseconds', now()) FROM parent
                ON CONFLICT (workspace_id, slug) DO NOTHING RETURNING *
            ), audited AS (
                INSERT INTO keyvane.audit (id, at, actor, action, place, target, request_id)
                SELECT id, created_at, $8, 'project.create', $1 || '/' || slug, slug, $9 FROM made
            )
            """,
        columns: columns,
        status: "CASE WHEN p.id IS NULL THEN 'taken' ELSE 'ok' END",
        from: "parent w LEFT JOIN made p ON true"
    )

    /// - Throws: `invalid`, `conflict`, and `not_found` for the workspace.
    package func createProject(
        workspace: String,
        slug: String,
        name: String? = nil,
        description: String? = nil,
        actor: String,
        requestID: String? = nil,
        key: IdempotencyKey? = nil
    ) async throws(StoreError) -> ProjectRecord {
        try Self.check(slug, name, description)
        let id = UUID()
        let wrapped = try keyRing.wrap(ProjectKey.generate(), place: ProjectKey.place(projectID: id))
        let masterKeyID = keyRing.firstID
        let refusal = { (status: String?) in
            status == nil ? Place.workspace(workspace).refusal(nil) : Self.taken("project", slug)
        }
        let receipt = try await once(key, Self.insertion, refusal: refusal) { parameters in
            parameters.add(workspace)
            parameters.add(id)
            parameters.add(slug)
            parameters.add(name ?? slug)
            parameters.add(description ?? "")
            parameters.add(wrapped)
            parameters.add(masterKeyID)
            parameters.add(actor)
            parameters.add(requestID)
        }
        return Self.record(receipt.row)
    }

    private static let change = PlaceChange.statement(
        "project",
        find: "keyvane.project x JOIN keyvane.workspace w ON w.id = x.workspace_id WHERE w.slug = $7 AND x.slug = $8 AND $9::text IS NULL",
        tag: "old.version::text",
        place: "$7 || '/' || slug",
        columns: columns,
        from: "present p JOIN keyvane.workspace w ON w.id = p.workspace_id"
    )

    /// - Throws: `invalid`, `not_found`, `precondition_failed`.
    package func changeProject(
        workspace: String,
        slug: String,
        _ change: PlaceChange,
        _ origin: MutationOrigin
    ) async throws(StoreError) -> ProjectRecord {
        try change.validate()
        let place = Place.project(workspace: workspace, slug)
        let receipt = try await once(origin.key, Self.change, refusal: place.refusal) { change.fill(&$0, place, origin) }
        return Self.record(receipt.row)
    }

    private static let bySlug = PostgresStatement(
        "project",
        "SELECT \(selected) FROM keyvane.workspace w JOIN keyvane.project p ON p.workspace_id = w.id WHERE w.slug = $1 AND p.slug = $2"
    )

    /// - Throws: `not_found`.
    package func project(workspace: String, slug: String) async throws(StoreError) -> ProjectRecord {
        let result = try await read(
            Self.bySlug.call { parameters in
                parameters.add(workspace)
                parameters.add(slug)
            }
        )
        guard let row = result.first else { throw StoreError(.notFound, "there is no such project") }
        return Self.record(row)
    }

    private static let list = PostgresStatement(
        "projects",
        """
        SELECT \(selected) FROM keyvane.workspace w LEFT JOIN LATERAL (
            SELECT * FROM keyvane.project x WHERE x.workspace_id = w.id AND x.slug > $2 AND ($3::text[] IS NULL OR x.slug = ANY ($3::text[]))
                AND \(matches("x", "$5"))
            ORDER BY x.slug LIMIT $4::bigint
        ) p ON true
        WHERE w.slug = $1 ORDER BY p.slug
        """
    )

    /// By slug; `only` narrows the list to those a caller may know of, `text` to those with it in their slug or name.
    /// - Throws: `not_found` for the workspace.
    package func projects(
        workspace: String,
        _ page: PageRequest,
        only slugs: [String]? = nil,
        matching text: String? = nil
    ) async throws(StoreError) -> Page<ProjectRecord> {
        let result = try await read(
            Self.list.call { parameters in
                parameters.add(workspace)
                parameters.add(page.after ?? "")
                parameters.add(list: slugs)
                parameters.add(Int64(page.limit + 1))
                parameters.add(text)
            }
        )
        guard !result.rows.isEmpty else { throw StoreError(.notFound, "there is no such workspace") }
        return Page(result.rows.filter { !$0.isNull(0) }.map(Self.record), of: page, cursor: \.slug)
    }
}
