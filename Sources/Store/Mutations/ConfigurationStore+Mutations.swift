// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Changes of entries.
// Flows through: a `Mutation` from a caller, worked out to a `MutationCall` (secrets sealed), batched by its environment's writer, carried out by
// one SQL function, and back as `MutationOutcome`.
// Owner: the writer owns what waits and what is in flight; the SQL function owns revisions, versions and refusals.
// Must hold: a mutation takes effect once or not at all, however often it is sent; refusals write nothing; no plaintext of a secret goes down.

import Foundation
import Reactor

extension ConfigurationStore {
    /// Carries the mutation out. Answered means committed.
    /// - Throws: `invalid`, `not_found`, `conflict`, `precondition_failed`, `environment_too_large`, or `unavailable`, after which it may have
    ///   been committed or not.
    package func mutate(_ mutation: Mutation) async throws(StoreError) -> MutationOutcome {
        try mutation.validate()
        let start = ContinuousClock.now
        repeat {
            let call = try await workOut(mutation)
            switch try call.answer(try await send(call)) {
            case .outcome(let outcome):
                if !outcome.changes.isEmpty { metrics.committed(1) }
                return outcome
            case .versionMoved:
                // Somebody was faster; one of all that race gets through each time.
                continue
            }
        } while start.duration(to: .now) < configuration.requestTimeout
        throw .unavailable("the entry is being changed by too many at once")
    }

    private func send(_ call: MutationCall) async throws(StoreError) -> PostgresResult {
        let environmentID = call.mutation.environmentID
        let writer = writer(for: environmentID)
        let parameters = call.parameters
        let isBulk = call.members.count > Mutation.bulkThreshold
        let answer: Result<PostgresResult, PostgresSession.Failure> = await withCheckedContinuation { continuation in
            writer.loop.post {
                writer.submit(parameters, environmentID: environmentID, isBulk: isBulk) { continuation.resume(returning: $0) }
            }
        }
        switch answer {
        case .success(let result): return result
        case .failure(let failure): throw failure.storeError
        }
    }

    // MARK: Working out

    private struct State {
        let kind: EntryKind
        let value: String?
        let version: Int64
        let note: String?
    }

    private static let states = PostgresStatement(
        "entry_states",
        """
        SELECT e.name, e.kind, e.value, e.version, e.note FROM unnest($2::text[]) AS n (name) CROSS JOIN LATERAL (
            SELECT * FROM keyvane.entry x WHERE x.environment_id = $1::uuid AND x.name = n.name LIMIT 1) e
        """
    )

    /// A secret is sealed for its next version, so its present one must be known; so must the kind of a name that came without. Variables
    /// need neither and cost no read. The SQL function refuses what was worked out for a version that has passed.
    private func workOut(_ mutation: Mutation) async throws(StoreError) -> MutationCall {
        let unsettled = mutation.changes.filter { $0.op != .delete && $0.kind != .variable }
        guard !unsettled.isEmpty else {
            return MutationCall(mutation: mutation, members: mutation.changes.map { Self.plain($0, expectedVersion: nil) })
        }
        let key = try await projectKey(environmentID: mutation.environmentID)
        let result = try await read(
            Self.states.call { parameters in
                parameters.add(mutation.environmentID)
                parameters.add(unsettled.lazy.map { Optional($0.name) })
            }
        )
        var states: [String: State] = [:]
        for row in result.rows {
            states[row.text(0)] = State(kind: row.kind(1), value: row.optionalText(2), version: row.integer(3), note: row.optionalText(4))
        }
        var members: [MutationCall.Member] = []
        for change in mutation.changes {
            let state = states[change.name]
            let kind = change.kind ?? (state?.value == nil ? .variable : state?.kind ?? .variable)
            if case .set(let text) = change.op, kind == .secret {
                members.append(try Self.sealed(change, text, state, key, mutation.environmentID))
            } else {
                let depends = change.op != .delete && change.kind == nil
                members.append(Self.plain(change, expectedVersion: depends ? state?.version ?? 0 : nil))
            }
        }
        return MutationCall(mutation: mutation, members: members)
    }

    private static func plain(_ change: EntryChange, expectedVersion: Int64?) -> MutationCall.Member {
        switch change.op {
        case .set(let text):
            MutationCall.Member(
                name: change.name,
                op: .set,
                kind: .variable,
                text: text,
                size: change.name.utf8.count + text.utf8.count,
                note: change.note,
                expectedVersion: expectedVersion
            )
        case .delete:
            MutationCall.Member(
                name: change.name,
                op: .delete,
                kind: change.kind,
                text: nil,
                size: 0,
                note: change.note,
                expectedVersion: nil
            )
        }
    }

    private static func sealed(
        _ change: EntryChange,
        _ text: String,
        _ state: State?,
        _ key: ProjectKey,
        _ environmentID: UUID
    ) throws(StoreError) -> MutationCall.Member {
        let version = state?.version ?? 0
        var op = MutationCall.Member.Operation.set
        var stored: String?
        if let state, state.kind == .secret, let value = state.value, change.note == nil || change.note == state.note {
            // One that can't be opened is a different one: writing it again repairs it.
            if let present = try? key.open(value, environmentID: environmentID, name: change.name, version: version), present == text {
                (op, stored) = (.keep, value)
            }
        }
        if stored == nil { stored = try key.seal(text, environmentID: environmentID, name: change.name, version: version + 1) }
        return MutationCall.Member(
            name: change.name,
            op: op,
            kind: .secret,
            text: stored,
            size: change.name.utf8.count + text.utf8.count,
            note: change.note,
            expectedVersion: version
        )
    }
}

extension Mutation {
    fileprivate func validate() throws(StoreError) {
        guard !changes.isEmpty else { throw StoreError(.invalid, "a mutation needs at least one change", field: "changes") }
        var names: Set<String> = []
        for (index, change) in changes.enumerated() {
            do throws(StoreError) {
                try change.validate()
            } catch {
                throw changes.count == 1 ? error : error.inside("changes/\(index)")
            }
            guard names.insert(change.name).inserted else {
                throw StoreError(.invalid, "a name may appear only once in a call", field: "changes/\(index)/name")
            }
        }
    }
}
