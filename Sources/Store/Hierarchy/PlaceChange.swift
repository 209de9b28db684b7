// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A workspace, a project or an environment, by slugs.
package enum Place: Hashable, Sendable {
    case workspace(String)
    case project(workspace: String, String)
    case environment(EnvironmentPath)

    var level: String {
        switch self {
        case .workspace: "workspace"
        case .project: "project"
        case .environment: "environment"
        }
    }

    /// Workspace, project, environment; nil from where it isn't that deep.
    var slugs: [String?] {
        switch self {
        case .workspace(let workspace): [workspace, nil, nil]
        case .project(let workspace, let project): [workspace, project, nil]
        case .environment(let path): [path.workspace, path.project, path.environment]
        }
    }

    func refusal(_ status: String?) -> StoreError {
        switch status {
        case "precondition_failed": StoreError(.preconditionFailed, "somebody else has changed it: read it again")
        case "not_empty": StoreError(.conflict, "the \(level) is not empty: empty it first, or delete it with all that is in it")
        default: StoreError(.notFound, "there is no such \(level)")
        }
    }
}

/// Whose request a mutation is, and under which name it may be sent again.
package struct MutationOrigin: Sendable {
    package let actor: String
    package let requestID: String?
    package let key: IdempotencyKey?
    /// Tags of the record, one of which it must have; nil for any.
    package let condition: [String]?

    package init(actor: String, requestID: String? = nil, key: IdempotencyKey? = nil, condition: [String]? = nil) {
        self.actor = actor
        self.requestID = requestID
        self.key = key
        self.condition = condition
    }
}

/// What becomes of a place's own fields; nil leaves one as it is. Slugs never change.
package struct PlaceChange: Sendable {
    package let name: String?
    package let description: String?

    package init(name: String? = nil, description: String? = nil) {
        self.name = name
        self.description = description
    }

    func validate() throws(StoreError) {
        if let name { try InputRules.title(name) }
        if let description { try InputRules.remark(description, field: "description") }
    }

    // MARK: As a statement

    static let parameterCount = 9

    /// Parameters: name, description, tags, audit id, actor, request, and the three slugs, of which a level uses what it has.
    ///
    /// `old` is the locked row, `changed` what became of it, and `present` whichever of the two is true now. A change to what is there
    /// already makes no version and no audit row.
    static func statement(
        _ level: String,
        find: String,
        tag: String,
        place: String,
        environmentID: String = "NULL::uuid",
        columns: [String],
        from source: String
    ) -> ReceiptStatement {
        ReceiptStatement(
            "\(level)_change",
            parameters: parameterCount,
            work: """
                old AS (
                    SELECT x.* FROM \(find) FOR NO KEY UPDATE OF x
                ), changed AS (
                    UPDATE keyvane.\(level) x SET name = coalesce($1, x.name), description = coalesce($2, x.description),
                        version = x.version + 1, updated_at = date_trunc('milliseconds', clock_timestamp())
                    FROM old WHERE x.id = old.id AND ($3::text[] IS NULL OR \(tag) = ANY ($3::text[]))
                        AND (coalesce($1, x.name), coalesce($2, x.description)) IS DISTINCT FROM (x.name, x.description)
                    RETURNING x.*
                ), audited AS (
                    INSERT INTO keyvane.audit (id, at, actor, action, place, environment_id, target, request_id)
                    SELECT $4::uuid, updated_at, $5, '\(level).update', \(place), \(environmentID), slug, $6 FROM changed
                ), present AS (
                    SELECT * FROM changed UNION ALL SELECT * FROM old WHERE NOT EXISTS (SELECT FROM changed)
                )
                """,
            columns: columns,
            status: """
                (SELECT CASE WHEN $3::text[] IS NULL OR \(tag) = ANY ($3::text[]) THEN 'ok' ELSE 'precondition_failed' END FROM old)
                """,
            from: source
        )
    }

    func fill(_ parameters: inout PostgresParameters, _ place: Place, _ origin: MutationOrigin) {
        parameters.add(name)
        parameters.add(description)
        parameters.add(list: origin.condition)
        parameters.add(UUID())
        parameters.add(origin.actor)
        parameters.add(origin.requestID)
        for slug in place.slugs { parameters.add(slug) }
    }
}
