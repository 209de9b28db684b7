// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Store

/// `/v1/projects/{w}/{p}/environments` and one environment itself
struct EnvironmentRoutes: Sendable {
    static let list = "/v1/projects/{w}/{p}/environments"
    static let one = list + "/{e}"

    let store: ConfigurationStore
    let announcer: Announcer

    var routes: [APIRoute] {
        [
            .authorized(.get, Self.list, list),
            .authorized(.post, Self.list, create),
            .authorized(.get, Self.one, read),
            .authorized(.patch, Self.one, change),
            .authorized(.delete, Self.one, delete),
        ]
    }

    private func route(_ path: EnvironmentPath) -> PlaceRoute<EnvironmentRecord> {
        PlaceRoute(read: { try await store.environment(path) }, tag: \.tag, write: { $0.members($1) }, revision: \.revision)
    }

    /// GET: those that the token may know of; 404 where the project isn't there.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        let query = try call.query("limit", "cursor", "q")
        let page = try call.page(query)
        let (workspace, project) = (call.parameter("w"), call.parameter("p"))
        let visible = try call.token.visibleEnvironments(in: workspace, project).slugs
        let text = try call.text(query)
        let found = try await store.environments(workspace: workspace, project: project, page, only: visible, matching: text)
        return .list(found.items, nextCursor: found.nextCursor) { $0.members($1) }
    }

    /// POST: 201 with `Location`; needs a grant that administers the whole project.
    @Sendable private func create(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let (workspace, project) = (call.parameter("w"), call.parameter("p"))
        try call.token.requireAdministers(workspace: workspace, project: project)
        let input = try await call.input()
        let body = try PlaceBody(input.json())
        // Of slugs that can't be ones there is no environment either.
        guard let path = try? EnvironmentPath(workspace: workspace, project: project, environment: body.slug) else {
            throw Problem.notFound
        }
        let location = "/v1/projects/\(workspace)/\(project)/environments/\(body.slug)"
        return try await route(path).answer(.created, [.location: location]) { () throws(StoreError) in
            try await store.createEnvironment(
                workspace: workspace,
                project: project,
                slug: body.slug,
                name: body.name,
                description: body.description,
                actor: call.token.actor,
                requestID: call.context.requestID,
                key: input.idempotencyKey
            )
        }
    }

    /// GET of one: with its id and revision, which a client can compare with its own without reading the configuration.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let (path, access) = try Self.place(call)
        try call.token.requireLook(access)
        return try await route(path).answer(call)
    }

    /// PATCH: its name and its description. Its configuration and its revision stay.
    @Sendable private func change(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let path = try Self.administered(call)
        let condition = try call.condition()
        let input = try await call.input()
        let change = try PlaceChangeBody(input.json(), slug: path.environment).change
        return try await route(path).answer { () throws(StoreError) in
            try await store.changeEnvironment(path, change, call.origin(input, condition: condition))
        }
    }

    /// DELETE: with its whole configuration and history, and its watchers' connections.
    @Sendable private func delete(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let path = try Self.administered(call)
        let condition = try call.condition()
        let input = try await call.input()
        try input.requireEmpty()
        return try await route(path).remove(announcer) { () throws(StoreError) in
            try await store.remove(.environment(path), call.origin(input, condition: condition))
        }
    }

    /// The place in the path, for a token that may know of it. Whether it is there is asked later, or not at all: an answer that is given
    /// again may be about an environment that is gone.
    private static func place(_ call: AuthorizedCall) throws(Problem) -> (EnvironmentPath, EnvironmentAccess) {
        let (workspace, project, environment) = (call.parameter("w"), call.parameter("p"), call.parameter("e"))
        guard let path = try? EnvironmentPath(workspace: workspace, project: project, environment: environment),
            let access = call.token.access(to: path)
        else { throw .notFound }
        return (path, access)
    }

    private static func administered(_ call: AuthorizedCall) throws(Problem) -> EnvironmentPath {
        let path = try place(call).0
        if !call.token.administers(path) { throw .notGranted("admin") }
        return path
    }
}
