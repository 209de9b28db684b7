// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

extension MutationCall {
    /// What `keyvane.mutate` answered.
    enum Answer {
        case outcome(MutationOutcome)
        /// An entry, or the environment, has changed since this call was worked out: work it out again.
        case moved
        /// There is a receipt for the call's idempotency key.
        case repeated
    }

    /// - Throws: the refusals.
    func answer(_ result: PostgresResult) throws(StoreError) -> Answer {
        guard let first = result.first else { throw StoreError(.internalError, "the database gave no answer to a mutation") }
        let status = first.text(0)
        switch status {
        case "ok":
            let texts = Dictionary(members.map { ($0.name, $0.text) }) { first, _ in first }
            return .outcome(MutationOutcome(result, head: first, environmentID: mutation.environmentID, texts: texts, isRepeated: false))
        case "moved": return .moved
        case "repeated": return .repeated
        case "not_found": throw StoreError(.notFound, "there is no such environment")
        case "not_found_kind": throw StoreError(.notFound, "there is no such entry of this kind")
        case "conflict":
            throw StoreError(.conflict, "the entry \(first.text(4)) exists and is of the other kind: delete it first", field: "name")
        case "precondition_failed":
            throw StoreError(.preconditionFailed, "somebody else has changed it: read it again", current: first.optionalInteger(1))
        case "environment_too_large":
            let limits = "\(InputRules.maximumEntries) entries and \(InputRules.maximumEnvironmentBytes) bytes of names and values"
            throw StoreError(.environmentTooLarge, "an environment holds at most \(limits)")
        default:
            throw StoreError(.internalError, "the database's schema and this binary don't fit", underlying: "mutate answered \(status)")
        }
    }
}

extension MutationOutcome {
    /// Of the rows of `keyvane.mutation_row`.
    /// - Parameter texts: the stored values of the names, where the caller knows them better than the database needs to repeat.
    init(_ result: PostgresResult, head: PostgresResult.Row, environmentID: UUID, texts: [String: String?], isRepeated: Bool) {
        var changes: [Change] = []
        var entries: [Entry] = []
        var created = false
        let changed = result.rows.filter { !$0.isNull(6) }
        let (firstRevision, lastRevision) = (changed.first?.integer(9), changed.last?.integer(9))
        for row in result.rows where !row.isNull(4) {
            let name = row.text(4)
            let kind = row.kind(5)
            let action = row.optionalText(6)
            // Of a call that had been committed before, the text in the log is the right one.
            let text = row.optionalText(15) ?? texts[name] ?? nil
            let value = text.map { StoredValue(kind: kind, text: $0) }
            if action != nil, let firstRevision, let lastRevision {
                let isVisible = row.flag(7)
                changes.append(
                    Change(
                        environmentID: environmentID,
                        revision: row.integer(9),
                        first: firstRevision,
                        last: lastRevision,
                        mark: row.mark(10),
                        name: name,
                        kind: kind,
                        op: isVisible ? .set : .delete,
                        value: isVisible ? value : nil,
                        version: row.integer(8),
                        at: row.timestamp(13),
                        by: row.text(14)
                    )
                )
            }
            created = created || action == "create"
            guard action != "delete" else { continue }
            entries.append(
                Entry(
                    name: name,
                    kind: kind,
                    value: value,
                    version: row.integer(8),
                    revision: row.integer(9),
                    note: row.optionalText(11),
                    enabled: row.flag(12),
                    updatedAt: row.timestamp(13),
                    updatedBy: row.text(14)
                )
            )
        }
        self.init(
            revision: lastRevision ?? head.integer(2),
            mark: changes.last?.mark ?? head.mark(3),
            first: firstRevision,
            last: lastRevision,
            changes: changes,
            entries: entries,
            created: created,
            isRepeated: isRepeated
        )
    }
}
