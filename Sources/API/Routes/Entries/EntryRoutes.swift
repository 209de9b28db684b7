// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Store

/// `variables` and `secrets` of an environment: the same routes for both kinds.
struct EntryRoutes: Sendable {
    let kind: EntryKind
    let store: ConfigurationStore
    let announcer: Announcer

    var routes: [APIRoute] {
        let list = EnvironmentRoutes.one + (kind == .variable ? "/variables" : "/secrets")
        let one = list + "/{name}"
        return [
            .authorized(.get, list, self.list),
            .authorized(.get, one, read),
            .authorized(.put, one, write),
            .authorized(.delete, one, delete),
        ]
    }

    /// Lists of secrets never reveal values, whatever the token may read.
    @Sendable private func list(_ call: AuthorizedCall) async throws -> Response {
        let page = try call.page(call.query("limit", "cursor"))
        let scope = try await call.environment()
        try scope.requireRead()
        let found = try await readable(scope, page)
        return .list(found.items, nextCursor: found.nextCursor, headers: .configuration) { entry, item in
            entry.members(item, value: item.kind == .secret ? nil : item.value?.text)
        }
    }

    /// A page of what the token may see. Each read asks for as many as are still missing, so that the store's cursor is always right;
    /// where nearly nothing is visible, a page may end early with a cursor to go on from.
    private func readable(_ scope: EnvironmentScope, _ page: PageRequest) async throws -> (items: [Entry], nextCursor: String?) {
        var items: [Entry] = []
        var cursor = page.after
        for _ in 0..<20 {
            let next = try PageRequest(limit: page.limit - items.count, after: cursor)
            let found = try await store.entries(environmentID: scope.record.id, kind: kind, next)
            items += found.items.filter { scope.access.canRead($0.name) }
            cursor = found.nextCursor
            if cursor == nil || items.count == page.limit { break }
        }
        return (items, cursor)
    }

    /// GET of one. The grants are asked about the name first, so the answer to a name outside of them never depends on what is stored.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let scope = try await call.environment()
        let name = call.parameter("name")
        try scope.requireRead(name)
        guard InputRules.isEntryName(name), let entry = try await store.entry(environmentID: scope.record.id, name: name),
            entry.kind == kind
        else { throw Problem.notFound }
        let headers = HTTPFields.configuration.tagged(entry.version)
        if let seen = try EntityTagList(.ifNoneMatch, of: call.request), seen.contains(String(entry.version)) {
            return Response(status: .notModified, headers: headers)
        }
        return try await answer(.ok, entry, scope, headers)
    }

    /// PUT: 201 where the entry is new, else 200; without a revision of its own where nothing changes. Preconditions are checked by
    /// PostgreSQL under the environment's lock, so of two writers with one tag only one can pass.
    @Sendable private func write(_ call: AuthorizedCall) async throws -> Response {
        let (scope, name) = try await writable(call)
        let precondition = try Precondition.entry(call.request)
        let change = try EntryBody(await call.body()).change(name, kind)
        let outcome = try await mutate(call, scope, change, precondition)
        // The store answers with every entry that was set.
        guard let entry = outcome.entries.first else { throw Problem.unexpected }
        let headers = HTTPFields.configuration.tagged(entry.version).at(revision: outcome.revision)
        return try await answer(outcome.created ? .created : .ok, entry, scope, headers)
    }

    /// DELETE: 204, and 404 where there was nothing of this kind and name.
    @Sendable private func delete(_ call: AuthorizedCall) async throws -> Response {
        let (scope, name) = try await writable(call)
        let precondition = try Precondition.entry(call.request)
        let outcome = try await mutate(call, scope, EntryChange(name: name, op: .delete, kind: kind), precondition)
        if outcome.changes.isEmpty { throw Problem.notFound }
        return Response(status: .noContent, headers: HTTPFields().at(revision: outcome.revision))
    }

    /// The place and the name of a mutation, for a token that may write it.
    private func writable(_ call: AuthorizedCall) async throws -> (EnvironmentScope, String) {
        _ = try call.query()
        let scope = try await call.environment()
        let name = call.parameter("name")
        guard InputRules.isEntryName(name) else {
            // Only a write can hope to make a new name; for a delete there is nothing of this name.
            if call.request.method == .delete { throw Problem.notFound }
            try scope.requireWrite()
            throw Problem(.invalidName, "An entry's name \(TextRule.entryName.fault(name) ?? "must not be empty").")
        }
        try scope.requireWrite(name)
        return (scope, name)
    }

    /// Commits, and only then tells others.
    private func mutate(
        _ call: AuthorizedCall,
        _ scope: EnvironmentScope,
        _ change: EntryChange,
        _ precondition: Precondition
    ) async throws -> MutationOutcome {
        let mutation = Mutation(
            environmentID: scope.record.id,
            changes: [change],
            actor: call.token.actor,
            precondition: precondition,
            requestID: call.context.requestID
        )
        do {
            let outcome = try await store.mutate(mutation)
            announcer.committed(outcome, in: scope.record.id)
            return outcome
        } catch  where error.code == .preconditionFailed {
            throw try await preconditionFailed(error, scope, change.name)
        } catch {
            throw Problem(error, conflict: .kindConflict)
        }
    }

    /// 412 carries the present state, as far as the caller may see it. It is read anew, so tag and state belong together.
    private func preconditionFailed(_ error: StoreError, _ scope: EnvironmentScope, _ name: String) async throws -> Problem {
        var problem = Problem(error)
        guard scope.access.canRead(name), let entry = try await store.entry(environmentID: scope.record.id, name: name),
            entry.kind == kind
        else { return problem }
        var secrets = SecretReader(store, scope)
        let value = try await secrets.text(entry)
        problem.headers[.eTag] = EntityTagList.tag(entry.version)
        problem.current = { $0.members(entry, value: value) }
        return problem
    }

    private func answer(
        _ status: HTTPResponse.Status,
        _ entry: Entry,
        _ scope: EnvironmentScope,
        _ headers: HTTPFields
    ) async throws -> Response {
        var secrets = SecretReader(store, scope)
        let value = try await secrets.text(entry)
        return .json(status, headers: headers, capacity: 512 + (value?.utf8.count ?? 0)) { $0.members(entry, value: value) }
    }
}
