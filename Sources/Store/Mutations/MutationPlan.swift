// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Works out what a mutation's changes mean for the entries as they are: which kind, which value, sealed for which version. What depends on
/// an entry's present version says so, and is worked out anew where somebody was faster.
struct MutationPlan {
    /// An entry's row, also of a deleted one, which has no value but whose versions go on.
    struct Present {
        let kind: EntryKind
        let value: String?
        let version: Int64
        let note: String?
        let enabled: Bool

        var isLive: Bool { value != nil }
    }

    let environmentID: UUID
    let present: [String: Present]
    /// The values asked for by `rollback`, by name.
    let versions: [String: EntryVersion]
    /// Nil where no secret takes part.
    let key: ProjectKey?

    func members(_ change: EntryChange) throws(StoreError) -> [MutationCall.Member] {
        let old = present[change.name]
        switch change.op {
        case .set(let text):
            let kind = change.kind ?? old.flatMap { $0.isLive ? $0.kind : nil } ?? .variable
            return [try stored(change, text, as: kind, op: .set, dependsOnVersion: change.kind == nil)]
        case .restore(let text):
            return [try stored(change, text, as: change.kind ?? .variable, op: .restore, dependsOnVersion: false)]
        case .delete:
            return [MutationCall.Member(name: change.name, op: .delete, kind: change.kind, note: change.note)]
        case .enable, .disable:
            let entry = try live(change)
            let enabled = change.op == .enable
            if entry.enabled == enabled {
                return [
                    MutationCall.Member(name: change.name, op: .keep, kind: entry.kind, text: entry.value, expectedVersion: entry.version)
                ]
            }
            let again = EntryChange(name: change.name, op: change.op, note: change.note, enabled: enabled)
            return [try stored(again, try text(of: entry, change.name), as: entry.kind, op: .set, dependsOnVersion: true)]
        case .rename(let newName):
            let entry = try live(change)
            if present[newName]?.isLive == true {
                throw StoreError(.conflict, "an entry of the new name exists: choose another one, or delete it first", field: "name")
            }
            let made = EntryChange(name: newName, op: change.op, note: entry.note ?? "", enabled: entry.enabled)
            return [
                MutationCall.Member(name: change.name, op: .delete, kind: entry.kind, expectedVersion: entry.version),
                try stored(made, try text(of: entry, change.name), as: entry.kind, op: .restore, dependsOnVersion: true),
            ]
        case .seal:
            let entry = try live(change)
            return [try stored(change, try text(of: entry, change.name), as: .secret, op: .restore, dependsOnVersion: true)]
        case .rollback(let number):
            return [try rolledBack(change, to: number)]
        }
    }

    private func rolledBack(_ change: EntryChange, to number: Int64) throws(StoreError) -> MutationCall.Member {
        guard let old = present[change.name], old.kind == change.kind else { throw Self.notFound }
        guard let version = versions[change.name] else {
            guard (1...old.version).contains(number) else {
                throw StoreError(.invalid, "version must be one that the entry has had: 1 to \(old.version)", field: "version")
            }
            throw StoreError(.revisionTooOld, "this version is no longer kept")
        }
        guard let value = version.value else {
            throw StoreError(.invalid, "version \(number) is a deletion, which has no value to go back to", field: "version")
        }
        // What was a secret once must not become readable by the way.
        guard version.kind == .variable || old.kind == .secret else {
            throw StoreError(.conflict, "version \(number) was a secret, and the entry is a variable now", field: "version")
        }
        let text = try opened(value, name: change.name, version: number)
        let again = EntryChange(name: change.name, op: change.op, note: change.note)
        return try stored(again, text, as: old.kind, op: .set, dependsOnVersion: true)
    }

    private static let notFound = StoreError(.notFound, "there is no such entry of this kind")

    private func live(_ change: EntryChange) throws(StoreError) -> Present {
        guard let entry = present[change.name], entry.isLive, change.kind == nil || change.kind == entry.kind else { throw Self.notFound }
        return entry
    }

    private func text(of entry: Present, _ name: String) throws(StoreError) -> String {
        try opened(StoredValue(kind: entry.kind, text: entry.value ?? ""), name: name, version: entry.version)
    }

    private func opened(_ value: StoredValue, name: String, version: Int64) throws(StoreError) -> String {
        switch value {
        case .plain(let text):
            return text
        case .sealed(let sealed):
            guard let key else { throw StoreError(.internalError, "a secret takes part in a mutation without its key") }
            return try key.open(sealed, environmentID: environmentID, name: name, version: version)
        }
    }

    /// The change with its value in the form it is stored in. A secret is sealed for its next version, so it always depends on the present one.
    private func stored(
        _ change: EntryChange,
        _ text: String,
        as kind: EntryKind,
        op: MutationCall.Member.Operation,
        dependsOnVersion: Bool
    ) throws(StoreError) -> MutationCall.Member {
        let old = present[change.name]
        var member = MutationCall.Member(name: change.name, op: op, kind: kind, text: text, note: change.note, enabled: change.enabled)
        member.size = change.name.utf8.count + text.utf8.count
        if dependsOnVersion || kind == .secret { member.expectedVersion = old?.version ?? 0 }
        guard kind == .secret else { return member }
        guard let key else { throw StoreError(.internalError, "a secret takes part in a mutation without its key") }
        let version = old?.version ?? 0
        if let old, old.kind == .secret, let value = old.value, change.note == nil || change.note == old.note ?? "",
            change.enabled == nil || change.enabled == old.enabled
        {
            // One that can't be opened is a different one: writing it again repairs it. Ciphertexts can't be compared.
            if let plain = try? key.open(value, environmentID: environmentID, name: change.name, version: version), plain == text {
                return MutationCall.Member(name: change.name, op: .keep, kind: kind, text: value, expectedVersion: version)
            }
        }
        member.text = try key.seal(text, environmentID: environmentID, name: change.name, version: version + 1)
        return member
    }
}
