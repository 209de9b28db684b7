// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

extension ConfigurationStore {
    private static let receipt = PostgresStatement(
        "receipt",
        """
        SELECT r.fingerprint, r.environment_id, r.first, r.last FROM keyvane.receipt r
        WHERE r.token = $1 AND r.key = $2 AND r.created_at > now() - interval '24 hours'
        """
    )

    /// In the columns of `keyvane.mutation_row`.
    private static let committed = PostgresStatement(
        "receipt_changes",
        """
        SELECT 'ok', NULL::bigint, $3::bigint, c.mark, c.name, c.kind, c.action, c.visible, c.version, c.revision, c.mark, c.note, c.enabled,
            (extract(epoch FROM c.at) * 1000)::bigint, c.actor, c.value
        FROM keyvane.change c WHERE c.environment_id = $1::uuid AND c.revision BETWEEN $2::bigint AND $3::bigint ORDER BY c.revision
        """
    )

    /// The outcome that the key's first call had, put together from the log; nil where the key is new.
    /// - Throws: `idempotency_key_reused`.
    package func repeated(_ key: IdempotencyKey, of mutation: Mutation) async throws(StoreError) -> MutationOutcome? {
        let found = try await read(
            Self.receipt.call { parameters in
                parameters.add(key.token)
                parameters.add(key.key)
            }
        )
        guard let receipt = found.first else { return nil }
        guard receipt.text(0) == key.fingerprint, !receipt.isNull(1), receipt.uuid(1) == mutation.environmentID else {
            throw StoreError.idempotencyKeyReused
        }
        let last = receipt.integer(3)
        guard let first = receipt.optionalInteger(2) else { return try await unchanged(mutation, at: last) }
        let result = try await read(
            Self.committed.call { parameters in
                parameters.add(mutation.environmentID)
                parameters.add(first)
                parameters.add(last)
            }
        )
        guard let head = result.first else { throw StoreError(.revisionTooOld, "what this key did is no longer kept") }
        return MutationOutcome(result, head: head, environmentID: mutation.environmentID, texts: [:], isRepeated: true)
    }

    /// The first call changed nothing; its entries are those of then, whatever has become of them.
    private func unchanged(_ mutation: Mutation, at revision: Int64) async throws(StoreError) -> MutationOutcome {
        let state = try await state(environmentID: mutation.environmentID, at: revision)
        var entries: [String: Entry] = [:]
        for entry in state.entries { entries[entry.name] = entry }
        return MutationOutcome(
            revision: state.revision,
            mark: state.mark,
            first: nil,
            last: nil,
            changes: [],
            entries: mutation.changes.compactMap { entries[$0.name] },
            created: false,
            isRepeated: true
        )
    }
}
