// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hummingbird
import Store

/// An environment against its own past and against others: diff, rollback, promotion.
struct HistoryRoutes: Sendable {
    let store: ConfigurationStore
    let committer: Committer

    var routes: [APIRoute] {
        [
            .authorized(.get, EnvironmentRoutes.one + "/diff", diff),
            .authorized(.post, EnvironmentRoutes.one + "/rollback", rollBack),
            .authorized(.post, EnvironmentRoutes.one + "/promote", promote),
        ]
    }

    // MARK: Diff

    /// GET `?from=n&to=m`, or `?against=w/p/e`: what it takes to come from the one to the other. Disabled entries are not there.
    @Sendable private func diff(_ call: AuthorizedCall) async throws -> Response {
        let query = try call.query("from", "to", "against")
        let scope = try await call.environment()
        try scope.requireRead()
        if let against = query.text("against") {
            if query.text("from") != nil || query.text("to") != nil {
                throw Problem.invalidParameter("against", "can't be together with from or to: an environment is compared as it is")
            }
            return try await diff(call, scope, against: against)
        }
        guard let from = try query.revision("from") else {
            throw Problem.invalidParameter("from", "is missing: give a revision, or another environment as against=w/p/e")
        }
        let old = try await store.state(environmentID: scope.record.id, at: from, parameter: "from")
        let new = try await store.state(environmentID: scope.record.id, at: try query.revision("to"), parameter: "to")
        var secrets = SecretReader(store, scope)
        let difference = ConfigurationDifference(
            from: try await secrets.compared(old),
            to: try await secrets.compared(new),
            isOneHistory: true
        )
        return .json(headers: .configuration) { answer in
            answer.member("from", old.revision)
            answer.member("to", new.revision)
            difference.write(&answer)
        }
    }

    private func diff(_ call: AuthorizedCall, _ scope: EnvironmentScope, against text: String) async throws -> Response {
        guard let path = try? EnvironmentPath(parsing: text) else {
            throw Problem.invalidParameter("against", "must be an environment, written workspace/project/environment")
        }
        let other = try await call.environment(path)
        try other.requireRead()
        let old = try await store.state(environmentID: scope.record.id)
        let new = try await store.state(environmentID: other.record.id)
        var (here, there) = (SecretReader(store, scope), SecretReader(store, other))
        let difference = ConfigurationDifference(
            from: try await here.compared(old),
            to: try await there.compared(new),
            isOneHistory: scope.record.id == other.record.id
        )
        return .json(headers: .configuration) { answer in
            answer.member("from", scope.record.path.description)
            answer.member("to", other.record.path.description)
            difference.write(&answer)
        }
    }

    // MARK: Rollback

    /// POST `{"revision"}`: everything as it was then, notes and disabled entries too, as new changes in one transaction.
    @Sendable private func rollBack(_ call: AuthorizedCall) async throws -> Response {
        let wish = try call.appliedWish()
        let scope = try await call.environment()
        try scope.requireWrite()
        let precondition = try Precondition.configuration(call.request)
        let input = try await call.input()
        var body = ObjectReader(try input.json(), fields: ["revision"])
        let revision = body.integer("revision", in: 0...Int64.max)
        try body.check()
        let key = input.idempotencyKey
        return try await committer.commit(call, scope, .rollBack, wish, key: key, precondition: precondition) {
            let then = try await store.state(environmentID: scope.record.id, at: revision)
            let now = try await store.state(environmentID: scope.record.id)
            let changes = try await changes(from: now, to: then, scope)
            try scope.requireWrite(changes.map(\.name))
            return (changes, now.revision)
        }.answer(call, scope)
    }

    /// Values are opened here whatever the caller may read: he gets none of them.
    private func changes(from now: EnvironmentState, to then: EnvironmentState, _ scope: EnvironmentScope) async throws -> [EntryChange] {
        let present = Dictionary(uniqueKeysWithValues: now.entries.map { ($0.name, $0) })
        let past = Set(then.entries.map(\.name))
        var changes = now.entries.filter { !past.contains($0.name) }.map { EntryChange(name: $0.name, op: .delete) }
        let opener = try await ValueOpener(store, scope.record.id, for: then.entries)
        for entry in then.entries where present[entry.name]?.version != entry.version {
            let text = try opener.text(entry)
            changes.append(
                EntryChange(name: entry.name, op: .restore(text), kind: entry.kind, note: entry.note ?? "", enabled: entry.enabled)
            )
        }
        return changes
    }

    // MARK: Promotion

    /// POST `{"from":"w/p/e","names"?}`: what the other environment has and this one hasn't so, in one transaction. Nothing is deleted.
    @Sendable private func promote(_ call: AuthorizedCall) async throws -> Response {
        let wish = try call.appliedWish()
        let scope = try await call.environment()
        try scope.requireWrite()
        let precondition = try Precondition.configuration(call.request)
        let input = try await call.input()
        let body = try PromotionBody(input.json())
        let key = input.idempotencyKey
        return try await committer.commit(call, scope, .promote, wish, key: key, precondition: precondition) {
            let source = try await call.environment(body.from)
            try source.requireRead()
            let offered = try await store.state(environmentID: source.record.id).entries.filter { entry in
                entry.enabled && body.names.contains(entry.name) && source.access.canRead(entry.name)
            }
            try requireSecrets(offered, source)
            // Before anything is compared: whether two values are equal is for those who may write both.
            try scope.requireWrite(offered.map(\.name))
            let now = try await store.state(environmentID: scope.record.id)
            return (try await promotion(of: offered, source, into: now, scope), now.revision)
        }.answer(call, scope)
    }

    /// Where a secret goes, somebody may read it: copying one is reading it.
    private func requireSecrets(_ entries: [Entry], _ source: EnvironmentScope) throws(Problem) {
        let refused = entries.filter { $0.kind == .secret && !source.access.canReadSecret($0.name) }
        if refused.isEmpty { return }
        throw Problem.notGranted("read_secrets").with { problem in
            problem.faults = refused.prefix(100).map { FieldFault("/names", "\($0.name) is a secret that this token can't read there") }
        }
    }

    private func promotion(
        of offered: [Entry],
        _ source: EnvironmentScope,
        into now: EnvironmentState,
        _ scope: EnvironmentScope
    ) async throws -> [EntryChange] {
        let present = Dictionary(uniqueKeysWithValues: now.entries.map { ($0.name, $0) })
        let clashes = offered.filter { entry in present[entry.name].map { $0.kind != entry.kind } ?? false }
        if !clashes.isEmpty { throw Problem.otherKind(clashes.map { FieldFault("/names", "\($0.name) is of the other kind here") }) }
        let opener = try await ValueOpener(store, source.record.id, for: offered)
        let presentOpener = try await ValueOpener(store, scope.record.id, for: now.entries)
        var changes: [EntryChange] = []
        for entry in offered {
            let text = try opener.text(entry)
            if let old = present[entry.name], old.enabled, try presentOpener.text(old) == text { continue }
            changes.append(EntryChange(name: entry.name, op: .set(text), kind: entry.kind, enabled: true))
        }
        return changes
    }
}

extension Problem {
    /// 409 that names each entry at fault.
    static func otherKind(_ faults: [FieldFault]) -> Problem {
        Problem(
            .kindConflict,
            "A name that is in use keeps its kind. Seal the variable, or delete the entry, first. Nothing was changed."
        ).with { $0.faults = Array(faults.prefix(100)) }
    }
}

extension EnvironmentScope {
    /// For changes that nobody named one by one; names that the caller may not know of are not told.
    func requireWrite(_ names: [String]) throws(Problem) {
        let refused = names.filter { !access.canWrite($0) }
        if refused.isEmpty { return }
        throw Problem.notGranted("write").with { problem in
            problem.faults = refused.filter { access.canRead($0) }.prefix(100).map { name in
                FieldFault("", "\(name) is outside of what this token may write")
            }
        }
    }
}

extension QueryParameters {
    func revision(_ name: String) throws(Problem) -> Int64? {
        try integer(name, in: 0...Int.max).map { Int64($0) }
    }
}

extension ConfigurationStore {
    /// A revision that came as a parameter is refused by its name.
    func state(environmentID: UUID, at revision: Int64?, parameter: String) async throws -> EnvironmentState {
        do throws(StoreError) {
            return try await state(environmentID: environmentID, at: revision)
        } catch {
            guard error.code == .invalid else { throw error }
            throw Problem.invalidParameter(parameter, String(error.message.trimmingPrefix("revision ")))
        }
    }
}
