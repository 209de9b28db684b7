// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Store

/// `/v1/connect-tokens`: short-lived tokens for what can't keep a real one, such as a page in a browser.
struct ConnectTokenRoutes: Sendable {
    let store: ConfigurationStore

    var routes: [APIRoute] {
        [.authorized(.post, "/v1/connect-tokens", create)]
    }

    /// POST: any token makes them, but for a connect token, which would outlive itself by its children.
    @Sendable private func create(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        if call.token.connection != nil {
            throw Problem(.notGranted, "A connect token makes no connect tokens. Use the token that it was made with.")
        }
        let input = try await call.input()
        let body = try ConnectTokenBody(input.json(), maker: call.token)
        let (text, expiresAt) = try await store.connectToken(
            of: call.token,
            grants: body.grants,
            lifetime: body.lifetime,
            key: input.idempotencyKey
        )
        return .json(.created, headers: [.cacheControl: "no-store"]) { answer in
            answer.member("token", text)
            answer.member("expiresAt", Timestamp(expiresAt))
        }
    }
}
