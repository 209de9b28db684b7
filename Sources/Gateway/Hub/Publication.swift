// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Store

/// Names a feed group on every loop; never used again within a process.
package typealias GroupID = UInt32

/// One message in the group's format, encoded once for everybody in a group.
package struct EncodedFrame: Sendable {
    package let bytes: [UInt8]
    /// The state it leads to.
    package let cursor: Cursor
    package let changes: Int
    /// When its newest change was committed, in milliseconds since 1970; 0 for a snapshot.
    package let committedAt: Int64

    package init(bytes: [UInt8], cursor: Cursor, changes: Int, committedAt: Int64) {
        self.bytes = bytes
        self.cursor = cursor
        self.changes = changes
        self.committedAt = committedAt
    }
}

/// What one wake-up of the feed loop brings to one group: posted once to each loop that has sockets in it. Immutable, shared by the loops.
package struct Publication: Sendable {
    package let group: GroupID
    package let frames: [EncodedFrame]
    /// The first frame again, for sockets that started from a later state than the group's last frame: `previousRevision` tells theirs.
    package let variants: [Int64: [UInt8]]
    /// The feed's head, which invisible changes move without a frame.
    package let head: Cursor
    /// The frames begin with a snapshot of another history: what a socket had before says nothing any more.
    package let isReset: Bool

    package init(group: GroupID, frames: [EncodedFrame], variants: [Int64: [UInt8]] = [:], head: Cursor, isReset: Bool = false) {
        self.group = group
        self.frames = frames
        self.variants = variants
        self.head = head
        self.isReset = isReset
    }
}

/// Why a group ends while sockets are in it.
package enum GroupEnd: Hashable, Sendable {
    /// The environment was deleted.
    case deleted
    /// A value cannot be opened: what its watchers should see, they cannot be given.
    case unreadable
}
