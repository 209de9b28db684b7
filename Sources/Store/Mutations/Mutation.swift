// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// One call that changes entries of one environment: one transaction of consecutive revisions, or nothing.
package struct Mutation: Sendable {
    /// A call with more changes than this gets a batch, and a longer limit, of its own.
    static let bulkThreshold = 100

    /// Names this very call. Its outcome is stored under it, so that it is never carried out twice.
    package let id: UUID
    package let environmentID: UUID
    package let changes: [EntryChange]
    /// `token:ab12cd34` or `root`.
    package let actor: String
    package let precondition: Precondition
    /// For the audit: the request this came with.
    package let requestID: String?

    package init(
        id: UUID = UUID(),
        environmentID: UUID,
        changes: [EntryChange],
        actor: String,
        precondition: Precondition = .none,
        requestID: String? = nil
    ) {
        self.id = id
        self.environmentID = environmentID
        self.changes = changes
        self.actor = actor
        self.precondition = precondition
        self.requestID = requestID
    }
}

/// What should become of one name.
package struct EntryChange: Hashable, Sendable {
    package enum Operation: Hashable, Sendable {
        /// The plaintext, also of a secret: it is sealed before it leaves the process.
        case set(String)
        case delete
    }

    package let name: String
    package let op: Operation
    /// Nil keeps a known name's kind and makes a new name a variable. Naming another kind than the entry has is refused.
    package let kind: EntryKind?
    /// Nil leaves the note as it is.
    package let note: String?

    package init(name: String, op: Operation, kind: EntryKind? = nil, note: String? = nil) {
        self.name = name
        self.op = op
        self.kind = kind
        self.note = note
    }

    func validate() throws(StoreError) {
        try InputRules.entryName(name)
        if case .set(let value) = op { try InputRules.value(value) }
        if let note { try InputRules.remark(note, field: "note") }
    }
}

/// What must hold under the environment's lock. Those about an entry look at the mutation's first change.
package enum Precondition: Hashable, Sendable {
    case none
    /// `If-Match` with an entry's versions.
    case versionIn([Int64])
    /// `If-Match: *`
    case exists
    /// `If-None-Match: *`
    case absent
    /// `If-Match` with a configuration's revisions.
    case revisionIn([Int64])
}

package struct MutationOutcome: Sendable {
    /// The environment's head after the mutation; without changes the present one.
    package let revision: Int64
    package let mark: UInt32
    /// The transaction's bounds; nil for a mutation that changed nothing.
    package let first: Int64?
    package let last: Int64?
    /// What was committed, oldest first; empty for a no-op.
    package let changes: [Change]
    /// The named entries as they are now, in the order of the mutation's changes: also the unchanged ones, without the deleted ones.
    package let entries: [Entry]
    /// An entry that had not been there came into being.
    package let created: Bool

    package var cursor: Cursor { Cursor(revision: revision, mark: mark) }
}
