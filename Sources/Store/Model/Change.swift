// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// One row of the append-only log, as watchers see it.
package struct Change: Hashable, Sendable {
    /// Disabling is a delete to watchers, enabling a set.
    package enum Operation: String, Hashable, Sendable {
        case set
        case delete
    }

    package let environmentID: UUID
    package let revision: Int64
    /// The bounds of its transaction: a frame shows all of it or nothing.
    package let first: Int64
    package let last: Int64
    package let mark: UInt32
    package let name: String
    package let kind: EntryKind
    package let op: Operation
    /// Nil exactly for a delete.
    package let value: StoredValue?
    package let version: Int64
    package let at: Timestamp
    package let by: String

    package init(
        environmentID: UUID,
        revision: Int64,
        first: Int64,
        last: Int64,
        mark: UInt32,
        name: String,
        kind: EntryKind,
        op: Operation,
        value: StoredValue?,
        version: Int64,
        at: Timestamp,
        by: String
    ) {
        self.environmentID = environmentID
        self.revision = revision
        self.first = first
        self.last = last
        self.mark = mark
        self.name = name
        self.kind = kind
        self.op = op
        self.value = value
        self.version = version
        self.at = at
        self.by = by
    }

    package var cursor: Cursor { Cursor(revision: revision, mark: mark) }
}

/// What a read of the log from a revision on gives.
package struct ChangesPage: Hashable, Sendable {
    package let environmentID: UUID
    /// Whole transactions, oldest first.
    package let changes: [Change]
    /// The environment's head at the same moment.
    package let revision: Int64
    package let mark: UInt32
    /// The mark of the history at the revision asked for; nil where that revision is beyond the head or trimmed.
    package let markAtSince: UInt32?
    /// The log doesn't reach back that far: read a snapshot.
    package let tooOld: Bool

    package init(environmentID: UUID, changes: [Change], revision: Int64, mark: UInt32, markAtSince: UInt32?, tooOld: Bool) {
        self.environmentID = environmentID
        self.changes = changes
        self.revision = revision
        self.mark = mark
        self.markAtSince = markAtSince
        self.tooOld = tooOld
    }

    package var head: Cursor { Cursor(revision: revision, mark: mark) }
    /// Where the next read goes on: the last change's cursor, or the head's where there is none.
    package var cursor: Cursor { changes.last?.cursor ?? head }
}

/// A reader's own position in one environment, to be compared with the head.
package struct HeadProbe: Hashable, Sendable {
    package let id: UUID
    package let revision: Int64

    package init(id: UUID, revision: Int64) {
        self.id = id
        self.revision = revision
    }
}

package struct Head: Hashable, Sendable {
    package let id: UUID
    package let revision: Int64
    package let mark: UInt32
    /// The mark at the probe's revision; nil where that revision isn't in this history.
    package let markAtProbe: UInt32?

    package init(id: UUID, revision: Int64, mark: UInt32, markAtProbe: UInt32?) {
        self.id = id
        self.revision = revision
        self.mark = mark
        self.markAtProbe = markAtProbe
    }

    package var cursor: Cursor { Cursor(revision: revision, mark: mark) }
}
