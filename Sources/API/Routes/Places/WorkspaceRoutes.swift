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
    let announcer: Announcer

    var routes: [APIRoute] {
        [
            .authorized(.get, "/v1/workspaces", list),
            .authorized(.post, "/v1/workspaces", create),
            .authorized(.get, "/v1/workspaces/{w}", read),
            .authorized(.patch, "/v1/workspaces/{w}", change),
            .authorized(.delete, "/v1/workspaces/{w}", delete),
        ]
    }

    private func route(_ slug: String) -> PlaceRoute<WorkspaceRecord> {
        PlaceRoute(read: { try await store.workspace(slug) }, tag: \.tag, write: { $0.members($1) })
    }

    /// GET: those that the token may know of.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        let query = try call.query("limit", "cursor", "q")
        let visible = try call.token.visibleWorkspaces().slugs
        let found = try await store.workspaces(call.page(query), only: visible, matching: call.text(query))
        return .list(found.items, nextCursor: found.nextCursor) { $0.members($1) }
    }

    /// POST: 201 with `Location`; needs a grant that administers `"*"`.
    @Sendable private func create(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        try call.token.requireAdministersEverything()
        let input = try await call.input()
        let body = try PlaceBody(input.json())
        return try await route(body.slug).answer(.created, [.location: "/v1/workspaces/\(body.slug)"]) { () throws(StoreError) in
            try await store.createWorkspace(
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
        let slug = call.parameter("w")
        // The list isn't wanted, only whether there may be one.
        _ = try call.token.visibleProjects(in: slug)
        return try await route(slug).answer(call)
    }

    /// PATCH: its name and its description.
    @Sendable private func change(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let slug = call.parameter("w")
        try call.token.requireAdministers(workspace: slug)
        let condition = try call.condition()
        let input = try await call.input()
        let change = try PlaceChangeBody(input.json(), slug: slug).change
        return try await route(slug).answer { () throws(StoreError) in
            try await store.changeWorkspace(slug, change, call.origin(input, condition: condition))
        }
    }

    /// DELETE: with everything in it where `force` says so.
    @Sendable private func delete(_ call: AuthorizedCall) async throws -> Response {
        let force = try call.query("force").flag("force") ?? false
        let slug = call.parameter("w")
        try call.token.requireAdministers(workspace: slug)
        let condition = try call.condition()
        let input = try await call.input()
        try input.requireEmpty()
        return try await route(slug).remove(announcer) { () throws(StoreError) in
            try await store.remove(.workspace(slug), force: force, call.origin(input, condition: condition))
        }
    }
}
