// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hummingbird
import Store

// What every change of entries has in common: carry it out, tell others, and wait for the watchers where the caller asked for it.
// Flows through: a route's checked changes, as a `Mutation` to the store, its outcome to the announcer, and back as `Committed`.
// Owner: the request's task. Must hold: others hear of nothing that isn't committed; an answer to a repeated request is the first one's;
// waiting for watchers never turns a committed change into an error.

/// Carries out mutations for the routes.
struct Committer: Sendable {
    let store: ConfigurationStore
    let announcer: Announcer
    let waiter: AppliedWaiter

    /// One entry; what the precondition was compared with goes into the 412.
    func commit(
        _ call: AuthorizedCall,
        _ scope: EnvironmentScope,
        _ change: EntryChange,
        _ wish: AppliedWish?,
        key: IdempotencyKey?,
        conflict: ProblemCode = .kindConflict
    ) async throws -> Committed {
        let mutation = mutation(call, scope, [change], try Precondition.entry(call.request), key: key)
        do {
            return await announced(try await store.mutate(mutation), mutation.action, scope, wish)
        } catch  where error.code == .preconditionFailed {
            throw try await preconditionFailed(error, call, scope, change)
        } catch {
            throw Problem(error, conflict: conflict)
        }
    }

    /// Several at once, of which nothing depends on the environment's revision.
    func commit(
        _ call: AuthorizedCall,
        _ scope: EnvironmentScope,
        _ changes: [EntryChange],
        _ action: Mutation.Action,
        _ wish: AppliedWish?,
        key: IdempotencyKey?
    ) async throws -> Committed {
        let precondition = try Precondition.configuration(call.request)
        return try await commit(call, scope, action, wish, key: key, precondition: precondition) { (changes, nil) }
    }

    /// Several at once.
    /// - Parameter plan: works out the changes, again where somebody else was faster, and says what revision they hold for.
    func commit(
        _ call: AuthorizedCall,
        _ scope: EnvironmentScope,
        _ action: Mutation.Action,
        _ wish: AppliedWish?,
        key: IdempotencyKey?,
        precondition: Precondition,
        plan: () async throws -> (changes: [EntryChange], basedOn: Int64?)
    ) async throws -> Committed {
        let empty = mutation(call, scope, [], precondition, action: action, key: key)
        // Planned anew, a repeated request would find that there is nothing left to do.
        if let key, let outcome = try await store.repeated(key, of: empty) { return await announced(outcome, action, scope, wish) }
        do {
            let outcome = try await store.mutate {
                let (changes, basedOn) = try await plan()
                return mutation(call, scope, changes, precondition, action: action, basedOn: basedOn, key: key)
            }
            return await announced(outcome, action, scope, wish)
        } catch {
            // Refused for what the first call did, a moment after this one asked for its receipt.
            if let key, let outcome = try await store.repeated(key, of: empty) { return await announced(outcome, action, scope, wish) }
            throw Self.problem(error)
        }
    }

    private static func problem(_ error: any Error) -> any Error {
        guard let error = error as? StoreError else { return error }
        if error.code == .preconditionFailed {
            // The state of a configuration is its revision.
            return Problem(error).with { problem in
                if let current = error.current { problem.current = { $0.member("revision", current) } }
            }
        }
        return Problem(error, conflict: .kindConflict)
    }

    private func mutation(
        _ call: AuthorizedCall,
        _ scope: EnvironmentScope,
        _ changes: [EntryChange],
        _ precondition: Precondition,
        action: Mutation.Action? = nil,
        basedOn: Int64? = nil,
        key: IdempotencyKey?
    ) -> Mutation {
        Mutation(
            environmentID: scope.record.id,
            changes: changes,
            action: action,
            actor: call.token.actor,
            precondition: precondition,
            basedOn: basedOn,
            requestID: call.context.requestID,
            idempotencyKey: key
        )
    }

    private func announced(
        _ outcome: MutationOutcome,
        _ action: Mutation.Action,
        _ scope: EnvironmentScope,
        _ wish: AppliedWish?
    ) async -> Committed {
        // What an earlier call committed has been announced by it, or by the outbox.
        if !outcome.isRepeated { announcer.committed(outcome, in: scope.record.id) }
        guard let wish else { return Committed(outcome: outcome, action: action, applied: nil) }
        let counts = await waiter.applied(revision: outcome.revision, environmentID: scope.record.id, timeout: wish.timeout)
        return Committed(outcome: outcome, action: action, applied: .some(counts))
    }

    /// 412 carries the present state, as far as the caller may see it. It is read anew, so tag and state belong together.
    private func preconditionFailed(
        _ error: StoreError,
        _ call: AuthorizedCall,
        _ scope: EnvironmentScope,
        _ change: EntryChange
    ) async throws -> Problem {
        var problem = Problem(error)
        guard scope.access.canRead(change.name), let entry = try await store.entry(environmentID: scope.record.id, name: change.name),
            entry.kind == change.kind
        else { return problem }
        var secrets = SecretReader(store, scope)
        let value = try await secrets.text(entry)
        try await call.recordRead(of: secrets.revealed, in: scope)
        problem.headers[.eTag] = EntityTagList.tag(entry.version)
        problem.current = { $0.members(entry, value: value) }
        return problem
    }
}

/// A committed mutation, and what is known of the watchers that apply it.
struct Committed: Sendable {
    let outcome: MutationOutcome
    let action: Mutation.Action
    /// Nil where nobody asked; `.some(nil)` where nobody knows, because Redis is away.
    let applied: AppliedCounts??

    /// `{"revision","changes":[…]}`, with the values that the caller may see.
    func answer(_ call: AuthorizedCall, _ scope: EnvironmentScope) async throws -> Response {
        let values = await shown(outcome.changes.map { ($0.name, $0.kind, $0.version, $0.value) }, call, scope)
        let capacity = zip(outcome.changes, values).reduce(256) { $0 + 192 + $1.0.name.utf8.count + ($1.1?.utf8.count ?? 0) }
        return .json(headers: .configuration.tagged(outcome.revision).at(revision: outcome.revision), capacity: capacity) { answer in
            answer.member("revision", outcome.revision)
            answer.member("changes", array: zip(outcome.changes, values)) { list, item in
                list.object { $0.members(item.0, value: item.1) }
            }
            answer.member(applied)
        }
    }

    /// The one entry that was changed.
    func entryAnswer(_ call: AuthorizedCall, _ scope: EnvironmentScope, created: HTTPResponse.Status = .ok) async throws -> Response {
        guard let entry = outcome.entries.first else { throw Problem.unexpected }
        let value = await shown([(entry.name, entry.kind, entry.version, entry.value)], call, scope)[0]
        let headers = HTTPFields.configuration.tagged(entry.version).at(revision: outcome.revision)
        let status: HTTPResponse.Status = outcome.created ? created : .ok
        return .json(status, headers: headers, capacity: 512 + (value?.utf8.count ?? 0)) { answer in
            answer.members(entry, value: value)
            answer.member(applied)
        }
    }

    /// The values that the caller may see: those he sent himself, and those he may read. It is committed, so nothing that goes wrong here
    /// makes an error of it: what can't be opened or recorded is not shown.
    private func shown(
        _ values: [(name: String, kind: EntryKind, version: Int64, value: StoredValue?)],
        _ call: AuthorizedCall,
        _ scope: EnvironmentScope
    ) async -> [String?] {
        var secrets = SecretReader(call.store, scope)
        var texts: [String?] = []
        for item in values {
            let isKnown = action.bringsItsValues || scope.access.canRead(item.name)
            guard let value = item.value, isKnown else {
                texts.append(nil)
                continue
            }
            texts.append((try? await secrets.text(value, name: item.name, version: item.version)) ?? nil)
        }
        if action.bringsItsValues { return texts }
        do {
            try await call.recordRead(of: secrets.revealed, in: scope)
            return texts
        } catch {
            return zip(values, texts).map { $0.kind == .secret ? nil : $1 }
        }
    }
}

extension Mutation.Action {
    /// The caller sent all values himself, so that an answer with them reveals nothing.
    fileprivate var bringsItsValues: Bool {
        switch self {
        case .setEntry, .deleteEntry, .patch, .importDocument: true
        case .enableEntry, .disableEntry, .renameEntry, .sealEntry, .rollBackEntry, .rollBack, .promote: false
        }
    }
}

extension JSONWriter {
    /// The member is there exactly where the caller asked.
    fileprivate mutating func member(_ applied: AppliedCounts??) {
        switch applied {
        case .none: break
        case .some(.none): member("applied", String?.none)
        case .some(.some(let counts)): member("applied") { $0.members(counts) }
        }
    }
}
