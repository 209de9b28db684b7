// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Store

// One file per resource. A route takes an `AuthorizedCall`, reads the parameters and the body strictly, calls the store once, tells
// the announcer what was committed, and writes the answer; everything it throws becomes a problem further out.
// Routes are stateless values, made once in `APIService`. Must hold: no store call before the grants were asked, no answer to a
// mutation before PostgreSQL has committed it, no secret's text in an answer that the token may not read.

/// `/v1/workspaces`
struct WorkspaceRoutes: Sendable {
    let store: ConfigurationStore

    var routes: [APIRoute] {
        [
            .authorized(.get, "/v1/workspaces", list),
            .authorized(.post, "/v1/workspaces", create),
            .authorized(.get, "/v1/workspaces/{w}", read),
        ]
    }

    /// GET: those that the token may know of.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        let page = try call.page(call.query("limit", "cursor"))
        let found = try await store.workspaces(page, only: call.token.visibleWorkspaces().slugs)
        return .list(found.items, nextCursor: found.nextCursor) { $0.members($1) }
    }

    /// POST: 201 with `Location`; needs a grant that administers `"*"`.
    @Sendable private func create(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        try call.token.requireAdministersEverything()
        let body = try PlaceBody(await call.body())
        let workspace: WorkspaceRecord
        do {
            workspace = try await store.createWorkspace(
                slug: body.slug,
                name: body.name,
                description: body.description,
                actor: call.token.actor,
                requestID: call.context.requestID
            )
        } catch {
            throw Problem(error, conflict: .alreadyExists)
        }
        return .json(.created, headers: [.location: "/v1/workspaces/\(workspace.slug)"]) { $0.members(workspace) }
    }

    /// GET of one, for everybody who may see something in it.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let slug = call.parameter("w")
        // The list isn't wanted, only whether there may be one.
        _ = try call.token.visibleProjects(in: slug)
        let workspace = try await store.workspace(slug)
        return .json { $0.members(workspace) }
    }
}
