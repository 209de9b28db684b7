// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Store

/// What can be done with an entry besides setting and deleting it, and its history.
struct EntryActionRoutes: Sendable {
    let kind: EntryKind
    let store: ConfigurationStore
    let committer: Committer

    var routes: [APIRoute] {
        let one = EnvironmentRoutes.one + (kind == .variable ? "/variables" : "/secrets") + "/{name}"
        let both: [APIRoute] = [
            .authorized(.post, one + "/disable") { try await toggle($0, .disable) },
            .authorized(.post, one + "/enable") { try await toggle($0, .enable) },
            .authorized(.post, one + "/rename", rename),
            .authorized(.get, one + "/versions", versions),
            .authorized(.post, one + "/rollback", rollBack),
        ]
        return kind == .variable ? both + [.authorized(.post, one + "/seal") { try await toggle($0, .seal) }] : both
    }

    /// POST of an action that needs no body. What is so already stays so, without a revision.
    private func toggle(_ call: AuthorizedCall, _ op: EntryChange.Operation) async throws -> Response {
        let wish = try call.appliedWish()
        let (scope, name) = try await call.writableEntry()
        let input = try await call.input()
        try input.requireEmpty()
        let change = EntryChange(name: name, op: op, kind: kind)
        return try await committer.commit(call, scope, change, wish, key: input.idempotencyKey).entryAnswer(call, scope)
    }

    /// POST `{"name"}`: needs `write` for both names. The answer is the entry under its new name.
    @Sendable private func rename(_ call: AuthorizedCall) async throws -> Response {
        let wish = try call.appliedWish()
        let (scope, name) = try await call.writableEntry()
        let input = try await call.input()
        var body = ObjectReader(try input.json(), fields: ["name"])
        let newName = body.text("name", .entryName)
        if newName == name { body.refuse("name", "must be another one than the entry has") }
        try body.check()
        try scope.requireWrite(newName)
        // Under the new name somebody may read it: moving it there is reading it.
        if scope.reveals(newName, kind), !scope.reveals(name, kind) { throw Problem.notGranted(kind == .secret ? "read_secrets" : "read") }
        let change = EntryChange(name: name, op: .rename(to: newName), kind: kind)
        let committed = try await committer.commit(call, scope, change, wish, key: input.idempotencyKey, conflict: .alreadyExists)
        return try await committed.entryAnswer(call, scope)
    }

    /// GET: newest first, also of an entry that has been deleted.
    @Sendable private func versions(_ call: AuthorizedCall) async throws -> Response {
        let page = try call.page(call.query("limit", "cursor"))
        let scope = try await call.environment()
        let name = call.parameter("name")
        try scope.requireRead(name)
        guard InputRules.isEntryName(name),
            let found = try await store.versions(environmentID: scope.record.id, name: name, kind: kind, page)
        else { throw Problem.notFound }
        var secrets = SecretReader(store, scope)
        var items: [(EntryVersion, String?)] = []
        for version in found.items { items.append((version, try await secrets.text(version))) }
        try await call.recordRead(of: secrets.revealed, in: scope)
        return .list(items, nextCursor: found.nextCursor, headers: .configuration) { $0.members($1.0, value: $1.1) }
    }

    /// POST `{"version"}`: the old value as a new version, also of an entry that has been deleted since.
    @Sendable private func rollBack(_ call: AuthorizedCall) async throws -> Response {
        let wish = try call.appliedWish()
        let (scope, name) = try await call.writableEntry()
        let input = try await call.input()
        var body = ObjectReader(try input.json(), fields: ["version"])
        let version = body.integer("version", in: 1...Int64.max)
        try body.check()
        let change = EntryChange(name: name, op: .rollback(version: version), kind: kind)
        return try await committer.commit(call, scope, change, wish, key: input.idempotencyKey).entryAnswer(call, scope)
    }
}

extension AuthorizedCall {
    /// For routes without parameters of their own.
    func appliedWish() throws(Problem) -> AppliedWish? {
        try AppliedWish.reading(QueryParameters(request, allowed: Set(AppliedWish.parameters)))
    }

    /// The place and the name of a mutation, for a token that may write it.
    func writableEntry() async throws -> (EnvironmentScope, String) {
        let scope = try await environment()
        let name = parameter("name")
        guard InputRules.isEntryName(name) else {
            // Only a PUT can hope to make a new name; for anything else there is nothing of this name.
            if request.method != .put { throw Problem.notFound }
            try scope.requireWrite()
            throw Problem(.invalidName, "An entry's name \(TextRule.entryName.fault(name) ?? "must not be empty").")
        }
        try scope.requireWrite(name)
        return (scope, name)
    }
}
