// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Store

/// `/v1/workspaces/{w}/projects` and `/v1/projects/{w}/{p}`
struct ProjectRoutes: Sendable {
    private static let one = "/v1/projects/{w}/{p}"

    let store: ConfigurationStore
    let announcer: Announcer

    var routes: [APIRoute] {
        [
            .authorized(.get, "/v1/workspaces/{w}/projects", list),
            .authorized(.post, "/v1/workspaces/{w}/projects", create),
            .authorized(.get, Self.one, read),
            .authorized(.patch, Self.one, change),
            .authorized(.delete, Self.one, delete),
        ]
    }

    private func route(_ workspace: String, _ slug: String) -> PlaceRoute<ProjectRecord> {
        PlaceRoute(read: { try await store.project(workspace: workspace, slug: slug) }, tag: \.tag, write: { $0.members($1) })
    }

    /// GET: those that the token may know of; 404 where the workspace isn't there.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        let query = try call.query("limit", "cursor", "q")
        let page = try call.page(query)
        let workspace = call.parameter("w")
        let visible = try call.token.visibleProjects(in: workspace).slugs
        let found = try await store.projects(workspace: workspace, page, only: visible, matching: call.text(query))
        return .list(found.items, nextCursor: found.nextCursor) { $0.members($1) }
    }

    /// POST: 201 with `Location`; needs a grant that administers the whole workspace.
    @Sendable private func create(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let workspace = call.parameter("w")
        try call.token.requireAdministers(workspace: workspace)
        let input = try await call.input()
        let body = try PlaceBody(input.json())
        let location = "/v1/projects/\(workspace)/\(body.slug)"
        return try await route(workspace, body.slug).answer(.created, [.location: location]) { () throws(StoreError) in
            try await store.createProject(
                workspace: workspace,
                slug: body.slug,
                name: body.name,
                description: body.description,
                actor: call.token.actor,
                requestID: call.context.requestID,
                key: input.idempotencyKey
            )
        }
    }

    /// GET of one, for everybody who may see something in it.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let (workspace, slug) = (call.parameter("w"), call.parameter("p"))
        _ = try call.token.visibleEnvironments(in: workspace, slug)
        return try await route(workspace, slug).answer(call)
    }

    /// PATCH: its name and its description.
    @Sendable private func change(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let (workspace, slug) = (call.parameter("w"), call.parameter("p"))
        try call.token.requireAdministers(workspace: workspace, project: slug)
        let condition = try call.condition()
        let input = try await call.input()
        let change = try PlaceChangeBody(input.json(), slug: slug).change
        return try await route(workspace, slug).answer { () throws(StoreError) in
            try await store.changeProject(workspace: workspace, slug: slug, change, call.origin(input, condition: condition))
        }
    }

    /// DELETE: with everything in it where `force` says so.
    @Sendable private func delete(_ call: AuthorizedCall) async throws -> Response {
        let force = try call.query("force").flag("force") ?? false
        let (workspace, slug) = (call.parameter("w"), call.parameter("p"))
        try call.token.requireAdministers(workspace: workspace, project: slug)
        let condition = try call.condition()
        let input = try await call.input()
        try input.requireEmpty()
        return try await route(workspace, slug).remove(announcer) { () throws(StoreError) in
            try await store.remove(.project(workspace: workspace, slug), force: force, call.origin(input, condition: condition))
        }
    }
}
