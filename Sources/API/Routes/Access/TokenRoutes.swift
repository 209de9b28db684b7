// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import Store

/// `/v1/tokens`, for administrators: they see and revoke the tokens whose every grant they administer.
struct TokenRoutes: Sendable {
    let store: ConfigurationStore
    let announcer: Announcer

    var routes: [APIRoute] {
        [
            .authorized(.get, "/v1/tokens", list),
            .authorized(.post, "/v1/tokens", create),
            .authorized(.get, "/v1/tokens/{id}", read),
            .authorized(.delete, "/v1/tokens/{id}", revoke),
        ]
    }

    /// GET: those that the caller administers.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        let page = try call.page(call.query("limit", "cursor"))
        try call.token.requireTokenAdministrator()
        var items: [TokenRecord] = []
        var cursor = page.after
        // As with entries: what is filtered out is made up for, within bounds.
        for _ in 0..<20 {
            let next = try PageRequest(limit: page.limit - items.count, after: cursor)
            let found = try await store.tokens(next)
            items += found.items.filter(call.token.administers)
            cursor = found.nextCursor
            if cursor == nil || items.count == page.limit { break }
        }
        return .list(items, nextCursor: cursor) { $0.members($1) }
    }

    /// POST: the only answer that ever holds a token's text.
    @Sendable private func create(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        try call.token.requireTokenAdministrator()
        let body = try TokenBody(await call.body(), maker: call.token, now: Date())
        let (token, text) = try await store.createToken(
            description: body.description,
            grants: body.grants,
            expiresAt: body.expiresAt,
            createdBy: call.token.actor,
            requestID: call.context.requestID
        )
        let headers: HTTPFields = [.location: "/v1/tokens/\(token.id)", .cacheControl: "no-store"]
        return .json(.created, headers: headers) { answer in
            answer.members(token)
            // This once: only its digest is kept.
            answer.member("token", text)
        }
    }

    /// GET of one.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        let token = try await administered(call)
        return .json { $0.members(token) }
    }

    /// DELETE: REST refuses the token from the next request on; gateways are told to close its sockets.
    @Sendable private func revoke(_ call: AuthorizedCall) async throws -> Response {
        let token = try await administered(call)
        guard try await store.revokeToken(token.id, by: call.token.actor, requestID: call.context.requestID) else { throw Problem.notFound }
        announcer.revoked(tokenID: token.id)
        return Response(status: .noContent)
    }

    /// The token in the path; 404 for one that reaches further than the caller's own grants.
    private func administered(_ call: AuthorizedCall) async throws -> TokenRecord {
        _ = try call.query()
        try call.token.requireTokenAdministrator()
        guard let token = try await store.token(call.parameter("id")), call.token.administers(token) else { throw Problem.notFound }
        return token
    }
}
