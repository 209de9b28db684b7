// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

// Two states of configuration side by side: what a diff says, what a dry run promises, what a rollback and a promotion do.
// Flows through: entries of one environment at two revisions, or of two environments, as `ComparedEntry`, into names.
// Owner: the request's task. Must hold: two secrets are compared by value only where the caller may read both, so that nobody finds
// out a value by trying.

/// An entry as it is compared: nil text is a secret that the caller may not read.
struct ComparedEntry: Equatable, Sendable {
    let kind: EntryKind
    let text: String?
    /// Where it comes from: the same version of one environment's entry is the same, whatever it is.
    let version: Int64?
}

struct ConfigurationDifference: Sendable {
    private(set) var added: [String] = []
    private(set) var removed: [String] = []
    private(set) var changed: [String] = []

    /// - Parameter isOneHistory: both are states of the same environment, so that versions can be compared.
    init(from old: [String: ComparedEntry], to new: [String: ComparedEntry], isOneHistory: Bool) {
        for name in Set(old.keys).union(new.keys).sorted() {
            switch (old[name], new[name]) {
            case (nil, nil): break
            case (nil, .some): added.append(name)
            case (.some, nil): removed.append(name)
            case (let left?, let right?):
                if isOneHistory, left.version == right.version { continue }
                // What can't be read may differ.
                if left.kind == right.kind, let text = left.text, text == right.text { continue }
                changed.append(name)
            }
        }
    }

    func write(_ answer: inout JSONWriter) {
        answer.member("added", array: added) { $0.value($1) }
        answer.member("removed", array: removed) { $0.value($1) }
        answer.member("changed", array: changed) { $0.value($1) }
    }
}

extension SecretReader {
    /// The enabled entries that the caller may know of and whose names are among those.
    mutating func compared(_ state: EnvironmentState, _ names: NameSet = .everything) async throws -> [String: ComparedEntry] {
        var entries: [String: ComparedEntry] = [:]
        for entry in state.entries where entry.enabled && names.contains(entry.name) && scope.access.canRead(entry.name) {
            entries[entry.name] = ComparedEntry(kind: entry.kind, text: try await text(entry), version: entry.version)
        }
        return entries
    }
}
