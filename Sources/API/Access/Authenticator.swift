// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Store

/// Finds out whose request it is. The store bounds what a token's text may be; a header can't be longer than the parser allows.
struct Authenticator: Sendable {
    let store: ConfigurationStore
    let cache: TokenCache
    let logins: LoginGuard
    let metrics: APIMetrics

    func token(of request: Request, _ context: APIContext) async throws -> TokenRecord {
        // RFC 6750, section 3: no error code where no credentials came at all.
        guard let text = Self.tokenText(request.headers) else {
            throw Problem(.missingToken, "This needs a token. Send `Authorization: Bearer <token>`.")
                .with { $0.headers[.wwwAuthenticate] = "Bearer realm=\"keyvane\"" }
        }
        let client = logins.client(peer: context.peer, forwardedFor: request.headers[values: .forwardedFor])
        if let seconds = logins.wait(repeating: text, from: client) { throw tooManyLogins(seconds) }
        let found = try await cache.token(TokenText.hash(text)) { () throws(StoreError) in try await store.authenticate(text) }
        if let found { return found }
        if let seconds = logins.refused(text, from: client) { throw tooManyLogins(seconds) }
        metrics.rejectedLogin(isLimited: false)
        throw Problem(.invalidToken, "This token is unknown, revoked or expired. Get a new one from an administrator.")
            .with { $0.headers[.wwwAuthenticate] = "Bearer realm=\"keyvane\", error=\"invalid_token\"" }
    }

    private func tooManyLogins(_ seconds: Int) -> Problem {
        metrics.rejectedLogin(isLimited: true)
        return Problem(
            .tooManyFailedLogins,
            "This token is unknown, revoked or expired, and so were too many others from this address. A valid one is answered at any time."
        )
        .with { $0.headers[.retryAfter] = "\(seconds)" }
    }

    /// The scheme is compared without case (RFC 9110, section 11.1). keyshade's clients send a header of their own.
    private static func tokenText(_ headers: HTTPFields) -> String? {
        guard let authorization = headers[.authorization] else { return headers[.keyshadeToken] }
        let parts = authorization.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        let text = parts[1].drop { $0 == " " }
        return text.isEmpty ? nil : String(text)
    }
}
