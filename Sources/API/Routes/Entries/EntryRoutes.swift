// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Store

// What is in an environment: single entries and what can be done with them, the whole configuration, documents, history, the log.
// Flows through: a call whose grants were asked, a body read strictly, changes to the `Committer`, values out through a `SecretReader`.
// Owner: routes are stateless values, made once in `APIService`.
// Must hold: a secret's value leaves only for `read_secrets`, and only recorded; a refused request has changed nothing.

/// `variables` and `secrets` of an environment: the same routes for both kinds.
struct EntryRoutes: Sendable {
    let kind: EntryKind
    let store: ConfigurationStore
    let committer: Committer

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
        let query = try call.query("limit", "cursor", "q")
        let page = try call.page(query)
        let scope = try await call.environment()
        try scope.requireRead()
        let text = try call.text(query)
        let found = try await call.visible(page, where: { scope.access.canRead($0.name) }) { next in
            try await store.entries(environmentID: scope.record.id, kind: kind, containing: text, next)
        }
        return .list(found.items, nextCursor: found.nextCursor, headers: .configuration) { entry, item in
            entry.members(item, value: item.kind == .secret ? nil : item.value?.text)
        }
    }

    /// GET of one.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let (scope, entry) = try await call.entry(of: kind)
        let headers = HTTPFields.configuration.tagged(entry.version)
        if let seen = try EntityTagList(.ifNoneMatch, of: call.request), seen.contains(String(entry.version)) {
            return Response(status: .notModified, headers: headers)
        }
        var secrets = SecretReader(store, scope)
        let value = try await secrets.text(entry)
        try await call.recordRead(of: secrets.revealed, in: scope)
        return .json(headers: headers, capacity: 512 + (value?.utf8.count ?? 0)) { $0.members(entry, value: value) }
    }

    /// PUT: 201 where the entry is new, else 200; without a revision of its own where nothing changes. Preconditions are checked by
    /// PostgreSQL under the environment's lock, so of two writers with one tag only one can pass.
    @Sendable private func write(_ call: AuthorizedCall) async throws -> Response {
        let wish = try call.appliedWish()
        let (scope, name) = try await call.writableEntry()
        let input = try await call.input()
        let change = try EntryBody(input.json()).change(name, kind)
        return try await committer.commit(call, scope, change, wish, key: input.idempotencyKey).entryAnswer(call, scope, created: .created)
    }

    /// DELETE: 204, and 404 where there was nothing of this kind and name. Who waits for the watchers gets an answer that says so.
    @Sendable private func delete(_ call: AuthorizedCall) async throws -> Response {
        let wish = try call.appliedWish()
        let (scope, name) = try await call.writableEntry()
        let input = try await call.input()
        try input.requireEmpty()
        let change = EntryChange(name: name, op: .delete, kind: kind)
        let committed = try await committer.commit(call, scope, change, wish, key: input.idempotencyKey)
        guard let deleted = committed.outcome.changes.first else { throw Problem.notFound }
        if wish != nil { return try await committed.answer(call, scope) }
        return Response(status: .noContent, headers: HTTPFields().tagged(deleted.version).at(revision: committed.outcome.revision))
    }
}
