// Keyvane
// SPDX-License-Identifier: Apache-2.0

package struct SnapshotEntry: Hashable, Sendable {
    package let name: String
    package let kind: EntryKind
    package let value: StoredValue
    package let version: Int64
    package let revision: Int64

    package init(name: String, kind: EntryKind, value: StoredValue, version: Int64, revision: Int64) {
        self.name = name
        self.kind = kind
        self.value = value
        self.version = version
        self.revision = revision
    }
}

/// All enabled entries of an environment at one revision, sorted by the bytes of their names.
package struct Snapshot: Hashable, Sendable {
    package let revision: Int64
    package let mark: UInt32
    package let entries: [SnapshotEntry]

    package init(revision: Int64, mark: UInt32, entries: [SnapshotEntry]) {
        self.revision = revision
        self.mark = mark
        self.entries = entries
    }

    package var cursor: Cursor { Cursor(revision: revision, mark: mark) }
}
