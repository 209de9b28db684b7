// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

extension ConfigurationStore {
    private static let columns = """
        e.id, e.project_id, w.slug, p.slug, e.slug, e.name, e.description, e.revision, e.mark,
        (extract(epoch FROM e.created_at) * 1000)::bigint, (extract(epoch FROM e.updated_at) * 1000)::bigint
        """

    private static func record(_ row: PostgresResult.Row) -> EnvironmentRecord {
        EnvironmentRecord(
            id: row.uuid(0),
            projectID: row.uuid(1),
            path: EnvironmentPath(stored: row.text(2), row.text(3), row.text(4)),
            name: row.text(5),
            description: row.text(6),
            revision: row.integer(7),
            mark: row.mark(8),
            createdAt: row.timestamp(9),
            updatedAt: row.timestamp(10)
        )
    }

    private static let insertion = PostgresStatement(
        "environment_create",
        """
        WITH parent AS (
            SELECT p.*, w.slug AS workspace FROM keyvane.workspace w JOIN keyvane.project p ON p.workspace_id = w.id
            WHERE w.slug = $1 AND p.slug = $2
        ), made AS (
            INSERT INTO keyvane.environment (id, workspace_id, project_id, slug, name, description, mark, origin_mark, created_at, updated_at)
            SELECT $3::uuid, workspace_id, id, $4, $5, $6, $7::bigint, $7::bigint, date_trunc('milliseconds', now()),
                date_trunc('milliseconds', now())
            FROM parent
            ON CONFLICT (project_id, slug) DO NOTHING RETURNING *
        ), audited AS (
            INSERT INTO keyvane.audit (id, at, actor, action, workspace_id, environment_id, target, request_id)
            SELECT id, created_at, $8, 'environment.create', workspace_id, id, slug, $9 FROM made
        ), present AS (
            SELECT * FROM made UNION ALL SELECT * FROM keyvane.environment WHERE id = $3::uuid
        )
        SELECT \(columns) FROM parent p CROSS JOIN LATERAL (SELECT p.workspace AS slug) w LEFT JOIN present e ON true
        """
    )

    /// - Throws: `invalid`, `conflict`, and `not_found` for the project.
    package func createEnvironment(
        workspace: String,
        project: String,
        slug: String,
        name: String? = nil,
        description: String? = nil,
        actor: String,
        requestID: String? = nil
    ) async throws(StoreError) -> EnvironmentRecord {
        try Self.check(slug, name, description)
        let result = try await write(
            Self.insertion.call { parameters in
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
        )
        guard let row = result.first else { throw StoreError(.notFound, "there is no such project") }
        guard !row.isNull(0) else { throw Self.taken("environment", slug) }
        return Self.record(row)
    }

    private static let joined = """
        SELECT \(columns) FROM keyvane.workspace w JOIN keyvane.project p ON p.workspace_id = w.id JOIN keyvane.environment e ON e.project_id = p.id
        """
    private static let byPath = PostgresStatement("environment", "\(joined) WHERE w.slug = $1 AND p.slug = $2 AND e.slug = $3")
    private static let byID = PostgresStatement("environment_by_id", "\(joined) WHERE e.id = $1::uuid")

    /// - Throws: `not_found`.
    package func environment(_ path: EnvironmentPath) async throws(StoreError) -> EnvironmentRecord {
        let result = try await read(
            Self.byPath.call { parameters in
                parameters.add(path.workspace)
                parameters.add(path.project)
                parameters.add(path.environment)
            }
        )
        guard let row = result.first else { throw StoreError(.notFound, "there is no such environment") }
        return Self.record(row)
    }

    /// - Throws: `not_found`.
    package func environment(id: UUID) async throws(StoreError) -> EnvironmentRecord {
        guard let row = try await read(Self.byID.call { $0.add(id) }).first else {
            throw StoreError(.notFound, "there is no such environment")
        }
        return Self.record(row)
    }

    private static let list = PostgresStatement(
        "environments",
        """
        SELECT \(columns) FROM keyvane.workspace w JOIN keyvane.project p ON p.workspace_id = w.id LEFT JOIN LATERAL (
            SELECT * FROM keyvane.environment x WHERE x.project_id = p.id AND x.slug > $3 AND ($4::text[] IS NULL OR x.slug = ANY ($4::text[]))
            ORDER BY x.slug LIMIT $5::bigint
        ) e ON true
        WHERE w.slug = $1 AND p.slug = $2 ORDER BY e.slug
        """
    )

    /// By slug; `only` narrows the list to those a caller may know of.
    /// - Throws: `not_found` for the project.
    package func environments(
        workspace: String,
        project: String,
        _ page: PageRequest,
        only slugs: [String]? = nil
    ) async throws(StoreError) -> Page<EnvironmentRecord> {
        let result = try await read(
            Self.list.call { parameters in
                parameters.add(workspace)
                parameters.add(project)
                parameters.add(page.after ?? "")
                parameters.add(list: slugs)
                parameters.add(Int64(page.limit + 1))
            }
        )
        guard !result.rows.isEmpty else { throw StoreError(.notFound, "there is no such project") }
        return Page(result.rows.filter { !$0.isNull(0) }.map(Self.record), of: page, cursor: \.path.environment)
    }
}
