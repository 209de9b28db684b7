// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
import Hummingbird
import Store

// Who may do what. A request arrives as headers; `Authenticator` makes a token of them; handlers get an `AuthorizedCall` and ask it for
// the place the path names (`environment()`), which checks the token's grants before PostgreSQL is asked. One rule decides the answer
// everywhere: what no grant reaches is 404, in the same words as what doesn't exist; what a grant reaches without the permission is 403.
// Owner: the request's task; nothing here is kept between requests.

/// One request of somebody we know.
struct AuthorizedCall: Sendable {
    let request: Request
    let context: APIContext
    /// As it was when the request came. A revocation while it is being served comes too late for it.
    let token: TokenRecord
    let store: ConfigurationStore
    let bodyLimit: Int

    /// A part of the path, decoded. What isn't valid percent-encoding reads as empty, which names nothing.
    func parameter(_ name: String) -> String {
        context.parameters.get(name)?.removingPercentEncoding ?? ""
    }

    /// Every route says which parameters it has, also where it has none: what isn't in the list is refused.
    func query(_ allowed: String...) throws(Problem) -> QueryParameters {
        try QueryParameters(request, allowed: Set(allowed))
    }

    /// `limit` and `cursor`, as all lists have them.
    func page(_ query: QueryParameters) throws -> PageRequest {
        let limit = try query.integer("limit", in: 1...PageRequest.maximumLimit) ?? 50
        return try PageRequest(limit: limit, after: query.text("cursor"))
    }

    /// To be called once, and after the permissions were checked: nobody's body is read who may not do the thing.
    func body() async throws(Problem) -> JSONValue {
        try await RequestBodyReader.json(request, limit: bodyLimit)
    }

    /// The environment in the path, for a token that may know of it.
    func environment() async throws -> EnvironmentScope {
        // A slug that can't be one names nothing; the caller learns no more from it than from a wrong one.
        guard
            let path = try? EnvironmentPath(
                workspace: parameter("w"),
                project: parameter("p"),
                environment: parameter("e")
            ),
            let access = token.access(to: path)
        else { throw Problem.notFound }
        return EnvironmentScope(record: try await store.environment(path), access: access)
    }
}
