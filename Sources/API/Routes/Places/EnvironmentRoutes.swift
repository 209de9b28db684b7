// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Store

/// `/v1/projects/{w}/{p}/environments` and one environment itself
struct EnvironmentRoutes: Sendable {
    static let list = "/v1/projects/{w}/{p}/environments"
    static let one = list + "/{e}"

    let store: ConfigurationStore

    var routes: [APIRoute] {
        [
            .authorized(.get, Self.list, list),
            .authorized(.post, Self.list, create),
            .authorized(.get, Self.one, read),
        ]
    }

    /// GET: those that the token may know of; 404 where the project isn't there.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        let page = try call.page(call.query("limit", "cursor"))
        let (workspace, project) = (call.parameter("w"), call.parameter("p"))
        let visible = try call.token.visibleEnvironments(in: workspace, project)
        let found = try await store.environments(workspace: workspace, project: project, page, only: visible.slugs)
        return .list(found.items, nextCursor: found.nextCursor) { $0.members($1) }
    }

    /// POST: 201 with `Location`; needs a grant that administers the whole project.
    @Sendable private func create(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let (workspace, project) = (call.parameter("w"), call.parameter("p"))
        try call.token.requireAdministers(workspace: workspace, project: project)
        let body = try PlaceBody(await call.body())
        let environment: EnvironmentRecord
        do {
            environment = try await store.createEnvironment(
                workspace: workspace,
                project: project,
                slug: body.slug,
                name: body.name,
                description: body.description,
                actor: call.token.actor,
                requestID: call.context.requestID
            )
        } catch {
            throw Problem(error, conflict: .alreadyExists)
        }
        let path = environment.path
        let location = "/v1/projects/\(path.workspace)/\(path.project)/environments/\(path.environment)"
        return .json(.created, headers: [.location: location]) { $0.members(environment) }
    }

    /// GET of one: with its id and revision, which a client can compare with its own without reading the configuration.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let scope = try await call.environment()
        try call.token.requireLook(scope.access)
        return .json { $0.members(scope.record) }
    }
}
