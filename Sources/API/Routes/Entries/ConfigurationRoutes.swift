// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Store

/// The whole configuration of an environment: read at one revision, changed in one transaction.
struct ConfigurationRoutes: Sendable {
    private struct Shown: Sendable {
        let entry: SnapshotEntry
        let value: String
    }

    let store: ConfigurationStore
    let announcer: Announcer

    var routes: [APIRoute] {
        let path = EnvironmentRoutes.one + "/configuration"
        return [.authorized(.get, path, read), .authorized(.patch, path, change)]
    }

    /// GET: all enabled entries at one revision, which is also the tag. A client that has it already is told so without reading them.
    @Sendable private func read(_ call: AuthorizedCall) async throws -> Response {
        let names = try Self.names(call.query("names"))
        let scope = try await call.environment()
        try scope.requireRead()
        if let seen = try EntityTagList(.ifNoneMatch, of: call.request), seen.contains(String(scope.record.revision)) {
            return Response(status: .notModified, headers: .configuration.tagged(scope.record.revision))
        }
        let snapshot = try await store.snapshot(environmentID: scope.record.id)
        let (shown, withheld) = try await visible(snapshot, scope, names)
        let capacity = shown.reduce(256) { $0 + 128 + $1.entry.name.utf8.count + $1.value.utf8.count }
        return .json(headers: .configuration.tagged(snapshot.revision), capacity: capacity) { answer in
            answer.member("environment", scope.record.path.description)
            answer.member("environmentId", scope.record.id)
            answer.member("revision", snapshot.revision)
            answer.member("cursor", snapshot.cursor.description)
            answer.member("entries", array: shown) { list, item in
                list.object { $0.members(item.entry, value: item.value) }
            }
            answer.member("withheld", withheld)
        }
    }

    /// `names=glob,glob`; absent is everything.
    private static func names(_ query: QueryParameters) throws(Problem) -> NameSet {
        guard let texts = query.list("names") else { return .everything }
        let globs = texts.compactMap(NameGlob.init)
        if globs.count < texts.count { throw .invalidParameter("names", "must be names or patterns with * and ?, separated by commas") }
        return NameSet(globs)
    }

    /// What the token may not know of is not there; a secret that it may know of but not read is counted.
    private func visible(_ snapshot: Snapshot, _ scope: EnvironmentScope, _ names: NameSet) async throws -> ([Shown], Int) {
        var secrets = SecretReader(store, scope)
        var shown: [Shown] = []
        var withheld = 0
        for entry in snapshot.entries where names.contains(entry.name) && scope.access.canRead(entry.name) {
            if let value = try await secrets.text(entry.value, name: entry.name, version: entry.version) {
                shown.append(Shown(entry: entry, value: value))
            } else {
                withheld += 1
            }
        }
        return (shown, withheld)
    }

    /// PATCH: everything in the body, or nothing. The answer has the changes in the order of their revisions.
    @Sendable private func change(_ call: AuthorizedCall) async throws -> Response {
        _ = try call.query()
        let scope = try await call.environment()
        try scope.requireWrite()
        let precondition = try Precondition.configuration(call.request)
        let body = try PatchBody(await call.body())
        try Self.requireWrite(body, scope)
        if body.changes.isEmpty { return try Self.unchanged(scope.record.revision, precondition) }
        let outcome = try await mutate(call, scope, body, precondition)
        var secrets = SecretReader(store, scope)
        var values: [String?] = []
        for change in outcome.changes { values.append(try await secrets.text(change)) }
        return Self.answer(outcome.revision, outcome.changes, values)
    }

    /// Nothing was asked for, but for the revision to be the one that is.
    private static func unchanged(_ revision: Int64, _ precondition: Precondition) throws(Problem) -> Response {
        if case .revisionIn(let revisions) = precondition, !revisions.contains(revision) {
            throw preconditionFailed(StoreError(.preconditionFailed, "", current: revision))
        }
        return answer(revision, [], [])
    }

    private static func answer(_ revision: Int64, _ changes: [Change], _ values: [String?]) -> Response {
        .json(headers: .configuration.tagged(revision).at(revision: revision)) { answer in
            answer.member("revision", revision)
            answer.member("changes", array: zip(changes, values)) { list, item in
                list.object { $0.members(item.0, value: item.1) }
            }
        }
    }

    /// Every name at fault is named. The environment is known to the caller, so it is 403 whatever the names are.
    private static func requireWrite(_ body: PatchBody, _ scope: EnvironmentScope) throws(Problem) {
        let refused = zip(body.changes, body.pointers).filter { !scope.access.canWrite($0.0.name) }
        if refused.isEmpty { return }
        throw Problem.notGranted("write").with { problem in
            problem.faults = refused.prefix(100).map { FieldFault($0.1, "is outside of what this token may write") }
        }
    }

    /// Commits, and only then tells others.
    private func mutate(
        _ call: AuthorizedCall,
        _ scope: EnvironmentScope,
        _ body: PatchBody,
        _ precondition: Precondition
    ) async throws -> MutationOutcome {
        let mutation = Mutation(
            environmentID: scope.record.id,
            changes: body.changes,
            actor: call.token.actor,
            precondition: precondition,
            requestID: call.context.requestID
        )
        do {
            let outcome = try await store.mutate(mutation)
            announcer.committed(outcome, in: scope.record.id)
            return outcome
        } catch  where error.code == .preconditionFailed {
            throw Self.preconditionFailed(error)
        } catch {
            throw Problem(error, conflict: .kindConflict)
        }
    }

    /// The state of a configuration is its revision.
    private static func preconditionFailed(_ error: StoreError) -> Problem {
        Problem(error).with { problem in
            if let current = error.current { problem.current = { $0.member("revision", current) } }
        }
    }
}
