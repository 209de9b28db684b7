// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Which revisions a group's frames led to, and what lay between them unseen: one for all watchers of the group, so that a change which
/// shows nothing costs none of them anything. A value, owned by a book.
package struct VisibleTrail {
    private struct Frame {
        let revision: Int64
        /// Where the group stood right before it.
        let before: Int64
    }

    /// Frames that are remembered. Who acknowledges more than this many late counts as far as he says, no further.
    package static let limit = 128

    private var frames: [Frame] = []
    /// The newest frame that is forgotten.
    private var forgotten: Int64 = -1
    /// Everything up to here has been processed.
    package private(set) var head: Int64

    package init(head: Int64) {
        self.head = head
    }

    /// A frame that leads to a revision.
    package mutating func append(_ revision: Int64) {
        if frames.count == Self.limit {
            forgotten = frames[Self.limit / 2 - 1].revision
            frames.removeFirst(Self.limit / 2)
        }
        frames.append(Frame(revision: revision, before: head))
        head = revision
    }

    /// Changes that the group doesn't see.
    package mutating func moved(to revision: Int64) {
        head = max(head, revision)
    }

    /// How far nothing visible has followed a revision.
    package func reach(from revision: Int64) -> Int64 {
        guard revision >= forgotten else { return revision }
        var lower = 0
        var upper = frames.count
        while lower < upper {
            let middle = (lower + upper) / 2
            if frames[middle].revision > revision { upper = middle } else { lower = middle + 1 }
        }
        return max(revision, lower < frames.count ? frames[lower].before : head)
    }
}
