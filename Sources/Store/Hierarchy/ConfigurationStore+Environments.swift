// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

extension ConfigurationStore {
    /// All of it is in the row itself: slugs don't change.
    private static let columns = [
        "e.id", "e.project_id", "split_part(e.path, '/', 1)", "split_part(e.path, '/', 2)", "e.slug", "e.name", "e.description",
        "e.revision",
        "e.mark", "(extract(epoch FROM e.created_at) * 1000)::bigint", "(extract(epoch FROM e.updated_at) * 1000)::bigint", "e.version",
    ]
    static let environmentColumnCount = Int32(columns.count)
    static let environmentColumns = columns.joined(separator: ", ")

    static func environment(_ row: PostgresResult.Row) -> EnvironmentRecord {
        EnvironmentRecord(
            id: row.uuid(0),
            projectID: row.uuid(1),
            path: EnvironmentPath(stored: row.text(2), row.text(3), row.text(4)),
            name: row.text(5),
            description: row.text(6),
            revision: row.integer(7),
            mark: row.mark(8),
            createdAt: row.timestamp(9),
            updatedAt: row.timestamp(10),
            version: row.integer(11)
        )
    }

    private static let insertion = ReceiptStatement(
        "environment_create",
        parameters: 9,
        work: """
            parent AS (
                SELECT p.*, w.slug AS workspace FROM keyvane.workspace w JOIN keyvane.project p ON p.workspace_id = w.id
                WHERE w.slug = $1 AND p.slug = $2
            ), made AS (
                INSERT INTO keyvane.environment (id, workspace_id, project_id, slug, path, name, description, mark, origin_mark, created_at,
                    updated_at)
                SELECT $3::uuid, workspace_id, id, $4, workspace || '/' || slug || '/' || $4, $5, $6, $7::bigint, $7::bigint,
                    date_trunc('milliseconds', now()), date_trunc('milliseconds', now())
                FROM parent
                ON CONFLICT (project_id, slug) DO NOTHING RETURNING *
            ), audited AS (
                INSERT INTO keyvane.audit (id, at, actor, action, place, environment_id, target, request_id)
                SELECT id, created_at, $8, 'environment.create', path, id, slug, $9 FROM made
            )
            """,
        columns: columns,
        status: "CASE WHEN e.id IS NULL THEN 'taken' ELSE 'ok' END",
        from: "parent LEFT JOIN made e ON true"
    )

    /// - Throws: `invalid`, `conflict`, and `not_found` for the project.
    package func createEnvironment(
        workspace: String,
        project: String,
        slug: String,
        name: String? = nil,
        description: String? = nil,
        actor: String,
        requestID: String? = nil,
        key: IdempotencyKey? = nil
    ) async throws(StoreError) -> EnvironmentRecord {
        try Self.check(slug, name, description)
        let refusal = { (status: String?) in
            status == nil ? Place.project(workspace: workspace, project).refusal(nil) : Self.taken("environment", slug)
        }
        let receipt = try await once(key, Self.insertion, refusal: refusal) { parameters in
            parameters.add(workspace)
            parameters.add(project)
            parameters.add(UUID())
            parameters.add(slug)
            parameters.add(name ?? slug)
            parameters.add(description ?? "")
            parameters.add(Int64(UInt32.random(in: .min ... .max)))
            parameters.add(actor)
            parameters.add(requestID)
        }
        return Self.environment(receipt.row)
    }

    private static let change = PlaceChange.statement(
        "environment",
        find: """
            keyvane.environment x JOIN keyvane.project p ON p.id = x.project_id JOIN keyvane.workspace w ON w.id = p.workspace_id
            WHERE w.slug = $7 AND p.slug = $8 AND x.slug = $9
            """,
        tag: "old.version || '.' || old.revision",
        place: "path",
        environmentID: "id",
        columns: columns,
        from: "present e"
    )

    /// - Throws: `invalid`, `not_found`, `precondition_failed`.
    package func changeEnvironment(
        _ path: EnvironmentPath,
        _ change: PlaceChange,
        _ origin: MutationOrigin
    ) async throws(StoreError) -> EnvironmentRecord {
        try change.validate()
        let place = Place.environment(path)
        let receipt = try await once(origin.key, Self.change, refusal: place.refusal) { change.fill(&$0, place, origin) }
        return Self.environment(receipt.row)
    }

    private static let byPath = PostgresStatement(
        "environment",
        "SELECT \(environmentColumns) FROM keyvane.environment e WHERE e.path = $1"
    )
    private static let byID = PostgresStatement(
        "environment_by_id",
        "SELECT \(environmentColumns) FROM keyvane.environment e WHERE e.id = $1::uuid"
    )

    /// - Throws: `not_found`.
    package func environment(_ path: EnvironmentPath) async throws(StoreError) -> EnvironmentRecord {
        let result = try await read(
            Self.byPath.call { $0.add(path.description) }
        )
        guard let row = result.first else { throw StoreError(.notFound, "there is no such environment") }
        return Self.environment(row)
    }

    /// - Throws: `not_found`.
    package func environment(id: UUID) async throws(StoreError) -> EnvironmentRecord {
        guard let row = try await read(Self.byID.call { $0.add(id) }).first else {
            throw StoreError(.notFound, "there is no such environment")
        }
        return Self.environment(row)
    }

    private static let list = PostgresStatement(
        "environments",
        """
        SELECT \(environmentColumns) FROM keyvane.workspace w JOIN keyvane.project p ON p.workspace_id = w.id LEFT JOIN LATERAL (
            SELECT * FROM keyvane.environment x WHERE x.project_id = p.id AND x.slug > $3 AND ($4::text[] IS NULL OR x.slug = ANY ($4::text[]))
                AND \(matches("x", "$6"))
            ORDER BY x.slug LIMIT $5::bigint
        ) e ON true
        WHERE w.slug = $1 AND p.slug = $2 ORDER BY e.slug
        """
    )

    /// By slug; `only` narrows the list to those a caller may know of, `text` to those with it in their slug or name.
    /// - Throws: `not_found` for the project.
    package func environments(
        workspace: String,
        project: String,
        _ page: PageRequest,
        only slugs: [String]? = nil,
        matching text: String? = nil
    ) async throws(StoreError) -> Page<EnvironmentRecord> {
        let result = try await read(
            Self.list.call { parameters in
                parameters.add(workspace)
                parameters.add(project)
                parameters.add(page.after ?? "")
                parameters.add(list: slugs)
                parameters.add(Int64(page.limit + 1))
                parameters.add(text)
            }
        )
        guard !result.rows.isEmpty else { throw StoreError(.notFound, "there is no such project") }
        return Page(result.rows.filter { !$0.isNull(0) }.map(Self.environment), of: page, cursor: \.path.environment)
    }

    private static let bySlugs = PostgresStatement(
        "environments_by_slugs",
        """
        SELECT \(environmentColumns) FROM keyvane.project p JOIN keyvane.environment e ON e.project_id = p.id
        WHERE p.slug = $1 AND e.slug = $2 AND ($3::text[] IS NULL OR split_part(e.path, '/', 1) = ANY ($3::text[]))
        ORDER BY e.path LIMIT 200
        """
    )

    /// Those of these slugs in all workspaces, or in those.
    package func environments(
        project: String,
        environment: String,
        in workspaces: [String]?
    ) async throws(StoreError) -> [EnvironmentRecord] {
        let result = try await read(
            Self.bySlugs.call { parameters in
                parameters.add(project)
                parameters.add(environment)
                parameters.add(list: workspaces)
            }
        )
        return result.rows.map(Self.environment)
    }
}
