// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import Store

// Who may do what, and who did: tokens, connect tokens, the audit.
// Flows through: a body judged against what its sender may give away, records out; a token's text once.
// Owner: routes are stateless values, made once in `APIService`; the token cache forgets at once what is changed here.
// Must hold: nobody gives away more than he has, be it by making, changing or reviving a token.

/// `/v1/tokens`, for administrators: they see, change and revoke the tokens whose every grant they administer.
struct TokenRoutes: Sendable {
    private static let one = "/v1/tokens/{id}"

    let store: ConfigurationStore
    let announcer: Announcer
    let cache: TokenCache

    var routes: [APIRoute] {
        [
            .authorized(.get, "/v1/tokens", list),
            .authorized(.post, "/v1/tokens", create),
            .authorized(.get, Self.one, read),
            .authorized(.patch, Self.one, change),
            .authorized(.delete, Self.one, revoke),
        ]
    }

    private func route(_ id: String) -> PlaceRoute<TokenRecord> {
        PlaceRoute(
            read: {
                guard let token = try await store.token(id) else { throw Problem.notFound }
                return token
            },
            tag: \.tag,
            write: { $0.members($1) }
        )
    }

    /// GET: those that the caller administers.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        let query = try call.query("limit", "cursor", "q")
        let page = try call.page(query)
        let text = try call.text(query)
        try call.token.requireTokenAdministrator()
        let found = try await call.visible(page, where: call.token.administers) { try await store.tokens($0, matching: text) }
        return .list(found.items, nextCursor: found.nextCursor) { $0.members($1) }
    }

    /// POST: the only answer that ever holds a token's text, but for the same request under the same `Idempotency-Key`.
    @Sendable private func create(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        try call.token.requireTokenAdministrator()
        let input = try await call.input()
        let body = try TokenBody(input.json(), maker: call.token, now: Date())
        let (token, text) = try await store.createToken(
            description: body.description,
            grants: body.grants,
            expiresAt: body.expiresAt,
            createdBy: call.token.actor,
            requestID: call.context.requestID,
            key: input.idempotencyKey
        )
        let headers: HTTPFields = [.location: "/v1/tokens/\(token.id)", .cacheControl: "no-store"]
        return .json(.created, headers: headers.tagged(token.tag)) { answer in
            answer.members(token)
            // This once: only its digest is kept.
            answer.member("token", text)
        }
    }

    /// GET of one. Its tag doesn't tell of its last use.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        try call.token.requireTokenAdministrator()
        guard let token = try await store.token(call.parameter("id")), call.token.administers(token) else { throw Problem.notFound }
        return try await route(token.id).answer(call)
    }

    /// PATCH: only who administers it before and after. The decision is about one version of the token: if that has passed when PostgreSQL
    /// gets to it, it is made anew.
    @Sendable private func change(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        try call.token.requireTokenAdministrator()
        let condition = try call.condition()
        let id = call.parameter("id")
        var input: RequestInput?
        for _ in 0..<10 {
            // Also one that is revoked by now: the store knows what was answered first.
            guard let token = try await store.formerToken(id), call.token.administers(token) else { throw Problem.notFound }
            let sent: RequestInput
            if let input { sent = input } else { sent = try await call.input() }
            input = sent
            let change = try TokenChangeBody(sent.json(), of: token, maker: call.token, now: Date()).change
            let origin = call.origin(sent, condition: condition)
            let answer = try await route(id).answer(ifDone: [.cacheControl: "no-store"]) { () throws(StoreError) in
                let changed = try await store.changeToken(token, change, origin)
                if let changed {
                    cache.forget(tokenID: id)
                    announcer.changed(changed)
                }
                return changed
            }
            guard let answer else { continue }
            return answer
        }
        throw Problem.unavailable("The token is being changed by too many at once. Try again.")
    }

    /// DELETE: REST refuses the token from the next request on; gateways are told to close its sockets.
    @Sendable private func revoke(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        try call.token.requireTokenAdministrator()
        let condition = try call.condition()
        // Also one that is revoked already: whoever sends his request again gets the first answer.
        guard let token = try await store.formerToken(call.parameter("id")), call.token.administers(token) else { throw Problem.notFound }
        let input = try await call.input()
        try input.requireEmpty()
        return try await route(token.id).remove(announcer) { () throws(StoreError) in
            let sequence = try await store.revokeToken(token.id, call.origin(input, condition: condition))
            cache.forget(tokenID: token.id)
            announcer.revoked(tokenID: token.id, sequence: sequence)
            return []
        }
    }
}
