// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Store

/// `/v1/workspaces/{w}/projects` and `/v1/projects/{w}/{p}`
struct ProjectRoutes: Sendable {
    let store: ConfigurationStore

    var routes: [APIRoute] {
        [
            .authorized(.get, "/v1/workspaces/{w}/projects", list),
            .authorized(.post, "/v1/workspaces/{w}/projects", create),
            .authorized(.get, "/v1/projects/{w}/{p}", read),
        ]
    }

    /// GET: those that the token may know of; 404 where the workspace isn't there.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        let page = try call.page(call.query("limit", "cursor"))
        let workspace = call.parameter("w")
        let found = try await store.projects(workspace: workspace, page, only: call.token.visibleProjects(in: workspace).slugs)
        return .list(found.items, nextCursor: found.nextCursor) { $0.members($1) }
    }

    /// POST: 201 with `Location`; needs a grant that administers the whole workspace.
    @Sendable private func create(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let workspace = call.parameter("w")
        try call.token.requireAdministers(workspace: workspace)
        let body = try PlaceBody(await call.body())
        let project: ProjectRecord
        do {
            project = try await store.createProject(
                workspace: workspace,
                slug: body.slug,
                name: body.name,
                description: body.description,
                actor: call.token.actor,
                requestID: call.context.requestID
            )
        } catch {
            throw Problem(error, conflict: .alreadyExists)
        }
        let location = "/v1/projects/\(project.workspace)/\(project.slug)"
        return .json(.created, headers: [.location: location]) { $0.members(project) }
    }

    /// GET of one, for everybody who may see something in it.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let (workspace, slug) = (call.parameter("w"), call.parameter("p"))
        _ = try call.token.visibleEnvironments(in: workspace, slug)
        let project = try await store.project(workspace: workspace, slug: slug)
        return .json { $0.members(project) }
    }
}
