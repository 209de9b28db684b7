// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// One call that changes entries of one environment: one transaction of consecutive revisions, or nothing.
package struct Mutation: Sendable {
    /// A call with more changes than this gets a batch, and a longer limit, of its own.
    static let bulkThreshold = 100

    /// What it is called in the audit.
    package enum Action: String, Sendable {
        case setEntry = "entry.set"
        case deleteEntry = "entry.delete"
        case enableEntry = "entry.enable"
        case disableEntry = "entry.disable"
        case renameEntry = "entry.rename"
        case sealEntry = "entry.seal"
        case rollBackEntry = "entry.rollback"
        case patch = "configuration.patch"
        case importDocument = "configuration.import"
        case rollBack = "environment.rollback"
        case promote = "environment.promote"
    }

    /// Names this very call. Its outcome is stored under it, so that it is never carried out twice.
    package let id: UUID
    package let environmentID: UUID
    package let changes: [EntryChange]
    package let action: Action
    /// `token:ab12cd34` or `root`.
    package let actor: String
    package let precondition: Precondition
    /// The environment's revision that the changes were worked out from; nil where they don't depend on one.
    package let basedOn: Int64?
    /// For the audit: the request this came with.
    package let requestID: String?
    package let idempotencyKey: IdempotencyKey?

    package init(
        id: UUID = UUID(),
        environmentID: UUID,
        changes: [EntryChange],
        action: Action? = nil,
        actor: String,
        precondition: Precondition = .none,
        basedOn: Int64? = nil,
        requestID: String? = nil,
        idempotencyKey: IdempotencyKey? = nil
    ) {
        self.id = id
        self.environmentID = environmentID
        self.changes = changes
        self.action = action ?? (changes.count == 1 ? changes[0].op.action : .patch)
        self.actor = actor
        self.precondition = precondition
        self.basedOn = basedOn
        self.requestID = requestID
        self.idempotencyKey = idempotencyKey
    }
}

/// What should become of one name.
package struct EntryChange: Hashable, Sendable {
    /// Texts are plaintext, also of a secret: it is sealed before it leaves the process.
    package enum Operation: Hashable, Sendable {
        case set(String)
        /// Like `set`, but the entry may be of the other kind. For going back to an earlier state.
        case restore(String)
        case delete
        case enable
        case disable
        /// Deletes the name and makes the new one, with value, kind and note.
        case rename(to: String)
        /// Makes a secret of a variable.
        case seal
        /// The value it had as this version.
        case rollback(version: Int64)

        var action: Mutation.Action {
            switch self {
            case .set, .restore: .setEntry
            case .delete: .deleteEntry
            case .enable: .enableEntry
            case .disable: .disableEntry
            case .rename: .renameEntry
            case .seal: .sealEntry
            case .rollback: .rollBackEntry
            }
        }
    }

    package let name: String
    package let op: Operation
    /// Nil keeps a known name's kind and makes a new name a variable. Naming another kind than the entry has is refused, but by `restore`.
    package let kind: EntryKind?
    /// Nil leaves the note as it is.
    package let note: String?
    /// Nil leaves a known name as it is and makes a new one enabled. Of `set` and `restore` only.
    package let enabled: Bool?

    package init(name: String, op: Operation, kind: EntryKind? = nil, note: String? = nil, enabled: Bool? = nil) {
        self.name = name
        self.op = op
        self.kind = kind
        self.note = note
        self.enabled = enabled
    }

    func validate() throws(StoreError) {
        try InputRules.entryName(name)
        switch op {
        case .set(let value), .restore(let value): try InputRules.value(value)
        case .rename(let newName):
            try InputRules.entryName(newName)
            if newName == name { throw StoreError(.invalid, "name must be another one than the entry has", field: "name") }
        case .delete, .enable, .disable, .seal, .rollback: break
        }
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
    /// An idempotency key brought an earlier call's outcome back; nothing was done.
    package let isRepeated: Bool

    package var cursor: Cursor { Cursor(revision: revision, mark: mark) }
}
