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
    /// - Throws: `invalid`, `not_found`, `conflict`, `precondition_failed`, `environment_too_large`, `idempotency_key_reused`,
    ///   `revision_too_old`, or `unavailable`, after which it may have been committed or not.
    package func mutate(_ mutation: Mutation) async throws(StoreError) -> MutationOutcome {
        try mutation.validate()
        guard let key = mutation.idempotencyKey else { return try await carryOut(mutation) }
        if let outcome = try await repeated(key, of: mutation) { return outcome }
        do throws(StoreError) {
            return try await carryOut(mutation)
        } catch {
            // Refused for what the first call did, a moment after this one asked for its receipt.
            if let outcome = try await repeated(key, of: mutation) { return outcome }
            throw error
        }
    }

    private func carryOut(_ mutation: Mutation) async throws(StoreError) -> MutationOutcome {
        let start = ContinuousClock.now
        repeat {
            let call = try await workOut(mutation)
            switch try call.answer(try await send(call)) {
            case .outcome(let outcome):
                if !outcome.changes.isEmpty { metrics.committed(1) }
                return outcome
            case .repeated:
                // The first one was under way while this one was looked up; its outcome is there.
                throw .unavailable("another request under this idempotency key is under way")
            case .moved where mutation.basedOn != nil:
                throw StoreError(.moved, "the environment has changed meanwhile")
            case .moved:
                // Somebody was faster; one of all that race gets through each time.
                continue
            }
        } while start.duration(to: .now) < configuration.requestTimeout
        throw .unavailable("the entry is being changed by too many at once")
    }

    /// For a mutation that follows from the environment's state: planned, and planned anew for as long as somebody else is faster.
    /// - Parameter plan: makes a mutation that is `basedOn` the revision it has read.
    package func mutate(planned plan: () async throws -> Mutation) async throws -> MutationOutcome {
        let start = ContinuousClock.now
        repeat {
            let mutation = try await plan()
            do throws(StoreError) {
                return try await mutate(mutation)
            } catch {
                guard error.code == .moved else { throw error }
            }
        } while start.duration(to: .now) < configuration.requestTimeout
        throw StoreError.unavailable("the environment is being changed by too many at once")
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

    private static let states = PostgresStatement(
        "entry_states",
        """
        SELECT e.name, e.kind, e.value, e.version, e.note, e.enabled FROM unnest($2::text[]) AS n (name) CROSS JOIN LATERAL (
            SELECT * FROM keyvane.entry x WHERE x.environment_id = $1::uuid AND x.name = n.name LIMIT 1) e
        """
    )

    /// Deletes, and variables that come with their kind, need to know nothing and cost no read. The SQL function refuses what was worked out
    /// for a version that has passed.
    private func workOut(_ mutation: Mutation) async throws(StoreError) -> MutationCall {
        let names = mutation.changes.flatMap(\.namesToKnow)
        let present = try await names.isEmpty ? [:] : present(names, mutation.environmentID)
        var versions: [String: EntryVersion] = [:]
        for change in mutation.changes {
            if case .rollback(let version) = change.op {
                versions[change.name] = try await entryVersion(environmentID: mutation.environmentID, name: change.name, version: version)
            }
        }
        let needsKey =
            mutation.changes.contains { $0.kind == .secret || $0.op == .seal } || present.values.contains { $0.kind == .secret }
            || versions.values.contains { $0.kind == .secret }
        let plan = MutationPlan(
            environmentID: mutation.environmentID,
            present: present,
            versions: versions,
            key: needsKey ? try await projectKey(environmentID: mutation.environmentID) : nil
        )
        var members: [MutationCall.Member] = []
        for change in mutation.changes { members += try plan.members(change) }
        return MutationCall(mutation: mutation, members: members)
    }

    private func present(_ names: [String], _ environmentID: UUID) async throws(StoreError) -> [String: MutationPlan.Present] {
        let result = try await read(
            Self.states.call { parameters in
                parameters.add(environmentID)
                parameters.add(names.lazy.map { Optional($0) })
            }
        )
        var present: [String: MutationPlan.Present] = [:]
        for row in result.rows {
            present[row.text(0)] = MutationPlan.Present(
                kind: row.kind(1),
                value: row.optionalText(2),
                version: row.integer(3),
                note: row.optionalText(4),
                enabled: row.flag(5)
            )
        }
        return present
    }
}

extension EntryChange {
    fileprivate var namesToKnow: [String] {
        switch op {
        case .delete: []
        case .set, .restore: kind == .variable ? [] : [name]
        case .enable, .disable, .seal, .rollback: [name]
        case .rename(let newName): [name, newName]
        }
    }
}

extension Mutation {
    fileprivate func validate() throws(StoreError) {
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
