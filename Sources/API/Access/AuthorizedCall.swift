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
    /// As it was when the request came; whoever waits for long asks again.
    private(set) var token: TokenRecord
    let authenticator: Authenticator
    var store: ConfigurationStore { authenticator.store }
    /// Where reads of secrets are recorded, see `recordRead`.
    let audit: SecretReadAudit
    let bodyLimit: Int

    /// A part of the path, decoded. What isn't valid percent-encoding reads as empty, which names nothing.
    func parameter(_ name: String) -> String {
        context.parameters.get(name)?.removingPercentEncoding ?? ""
    }

    /// The same call with the token as it is now.
    /// - Throws: 401 where it has been revoked, or has expired, meanwhile.
    func renewed() async throws -> AuthorizedCall {
        var call = self
        call.token = try await authenticator.token(of: request, context)
        return call
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

    /// A page of what the caller may see of a list. Each read asks for as many as are still missing, so that the store's cursor is always
    /// right; where nearly nothing is visible, a page may end early with a cursor to go on from.
    func visible<Item: Sendable>(
        _ page: PageRequest,
        where isVisible: (Item) -> Bool,
        _ read: (PageRequest) async throws -> Page<Item>
    ) async throws -> (items: [Item], nextCursor: String?) {
        var items: [Item] = []
        var cursor = page.after
        for _ in 0..<20 {
            let found = try await read(PageRequest(limit: page.limit - items.count, after: cursor))
            items += found.items.filter(isVisible)
            cursor = found.nextCursor
            if cursor == nil || items.count == page.limit { break }
        }
        return (items, cursor)
    }

    /// To be called once, and after the permissions were checked: nobody's body is read who may not do the thing.
    /// - Parameter mediaTypes: what the route reads.
    func input(_ mediaTypes: [String] = ["application/json"], limit: Int? = nil) async throws(Problem) -> RequestInput {
        let key = try idempotencyKey()
        let bytes = try await RequestBodyReader.bytes(request, mediaTypes, limit: limit ?? bodyLimit)
        return RequestInput(
            bytes: bytes,
            idempotencyKey: key.map { key in
                IdempotencyKey(token: token.id, key: key, request: [request.method.rawValue, request.uri.description], body: bytes)
            }
        )
    }

    /// draft-ietf-httpapi-idempotency-key-header: the caller's text, whatever it is made of.
    private func idempotencyKey() throws(Problem) -> String? {
        let keys = request.headers[values: .idempotencyKey]
        guard let key = keys.first else { return nil }
        guard keys.count == 1, (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            throw Problem(.malformedHeader, "`Idempotency-Key` must come once, as 1 to 255 visible ASCII characters, such as a UUID.")
        }
        return key
    }

    /// The environment in the path, for a token that may know of it.
    func environment() async throws -> EnvironmentScope {
        try await environment(environmentPath())
    }

    /// The entry in the path with its environment, for a token that may know of both. The grants are asked first, so that the answer to a
    /// name outside of them never depends on what is stored.
    func entry(of kind: EntryKind) async throws -> (scope: EnvironmentScope, entry: Entry) {
        let (path, name) = (try environmentPath(), parameter("name"))
        guard let access = token.access(to: path) else { throw Problem.notFound }
        try access.requireRead(name)
        let found = try await store.entry(in: path, name: name)
        guard InputRules.isEntryName(name), let entry = found.entry, entry.kind == kind else { throw Problem.notFound }
        return (EnvironmentScope(record: found.environment, access: access), entry)
    }

    /// A slug that can't be one names nothing; the caller learns no more from it than from a wrong one.
    private func environmentPath() throws(Problem) -> EnvironmentPath {
        let (workspace, project, environment) = (parameter("w"), parameter("p"), parameter("e"))
        guard let path = try? EnvironmentPath(workspace: workspace, project: project, environment: environment) else { throw .notFound }
        return path
    }

    /// One that the body or the query names.
    func environment(_ path: EnvironmentPath) async throws -> EnvironmentScope {
        guard let access = token.access(to: path) else { throw Problem.notFound }
        return EnvironmentScope(record: try await store.environment(path), access: access)
    }

    /// For the store: whose mutation this is.
    func origin(_ input: RequestInput, condition: [String]? = nil) -> MutationOrigin {
        MutationOrigin(actor: token.actor, requestID: context.requestID, key: input.idempotencyKey, condition: condition)
    }

    /// The tags of `If-Match`, for a mutation of a record that exists; nil for any.
    func condition() throws(Problem) -> [String]? {
        let ifMatch = try EntityTagList(.ifMatch, of: request)
        switch try EntityTagList(.ifNoneMatch, of: request) {
        case nil: break
        // It exists, so * can't hold: no tag is in an empty list.
        case .any?: return []
        case .tags?: throw Problem(.malformedHeader, "On a change, `If-None-Match` can only be *.")
        }
        switch ifMatch {
        case nil, .any?: return nil
        case .tags(let tags)?: return tags
        }
    }

    /// `q`, a part of a slug, a name or a description.
    func text(_ query: QueryParameters) throws(Problem) -> String? {
        guard let text = query.text("q") else { return nil }
        if text.utf8.count > 255 { throw .invalidParameter("q", "must be at most 255 bytes") }
        return text
    }
}
