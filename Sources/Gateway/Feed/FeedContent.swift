// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import DequeModule
package import Store

/// An environment's current state and its last changes; owned by a feed. Whole transactions only go in, so it always is a committed state.
package struct FeedContent: Sendable {
    /// Kept for clients that resume; older ones are read from PostgreSQL.
    static let historyLimit = 1_000
    static let historyWeightLimit = 16 * 1024 * 1024

    package private(set) var head: Cursor
    package private(set) var entries: [String: SnapshotEntry]
    /// Consecutive revisions, the newest of which is `head`.
    package private(set) var history: Deque<Change> = []
    /// The state before the oldest change in memory. Its mark is not known where the history was read from the middle of the log.
    package private(set) var floor: Int64
    private var floorMark: UInt32?
    private var historyWeight = 0

    /// A snapshot with nothing before it.
    package init(head: Cursor, entries: some Sequence<SnapshotEntry>) {
        self.head = head
        self.entries = Dictionary(entries.map { ($0.name, $0) }) { $1 }
        floor = head.revision
        floorMark = head.mark
    }

    /// Takes changes that lead up to the snapshot; anything else than an unbroken run ending at its revision is left out.
    package mutating func remember(_ changes: [Change]) {
        let earlier = changes.filter { $0.revision <= head.revision }
        guard history.isEmpty, let first = earlier.first, earlier.last?.cursor == head,
            Int64(earlier.count) == head.revision - first.revision + 1
        else { return }
        floor = first.revision - 1
        floorMark = nil
        history = Deque(earlier)
        historyWeight = earlier.reduce(0) { $0 + $1.weight }
        trim()
    }

    /// `changes` continue `head` without a hole and end with a transaction.
    mutating func apply(_ changes: [Change]) {
        for change in changes {
            precondition(change.revision == head.revision + 1, "change \(change.revision) applied to \(head.revision)")
            switch change.op {
            case .set:
                guard let value = change.value else { preconditionFailure("a set without a value was let in") }
                entries[change.name] = SnapshotEntry(
                    name: change.name,
                    kind: change.kind,
                    value: value,
                    version: change.version,
                    revision: change.revision
                )
            case .delete:
                entries[change.name] = nil
            }
            head = change.cursor
            history.append(change)
            historyWeight += change.weight
        }
        trim()
    }

    private mutating func trim() {
        while history.count > Self.historyLimit || historyWeight > Self.historyWeightLimit {
            // A transaction leaves whole, so that the floor is a state that was once committed.
            guard let last = history.first?.last else { return }
            while let change = history.first, change.revision <= last {
                history.removeFirst()
                historyWeight -= change.weight
                floor = change.revision
                floorMark = change.mark
            }
        }
    }

    /// The mark of a revision in memory.
    package func mark(at revision: Int64) -> UInt32? {
        if revision == head.revision { return head.mark }
        if revision == floor { return floorMark }
        guard revision > floor, revision < head.revision else { return nil }
        return history[Int(revision - floor) - 1].mark
    }

    /// The changes after a revision, oldest first; nil where memory doesn't reach back that far.
    package func changes(since revision: Int64) -> Deque<Change>.SubSequence? {
        guard revision >= floor, revision <= head.revision else { return nil }
        return history[Int(revision - floor)...]
    }

    /// Sorted by name, as snapshots show them.
    var sortedEntries: [SnapshotEntry] {
        entries.values.sorted { $0.name < $1.name }
    }
}

extension Change {
    /// What it costs in memory, roughly: text, and the fixed part with its share of the containers.
    var weight: Int { name.utf8.count + (value?.text.utf8.count ?? 0) + 160 }

    /// A change that no transaction can contain was made up by somebody.
    var isConsistent: Bool {
        revision > 0 && first > 0 && first <= revision && revision <= last && (op == .set) == (value != nil)
    }
}
