// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Reads one watcher's log against the truth. Owned by the caller.
struct LogChecker {
    private let history: EnvironmentHistory
    private let log: WatchLog
    /// The watcher knows all that it may see up to here; -1 before its first frame.
    private var position = -1
    /// What the next frame's `previousRevision` must be; nil while only a snapshot can follow.
    private var chain: Int?
    /// No frame has answered the request yet.
    private var isFresh = false
    /// What the watcher holds after its frames.
    private var held: [String: LoggedChange] = [:]
    private var conflated = 0

    private init(_ log: WatchLog, _ history: EnvironmentHistory) {
        self.log = log
        self.history = history
    }

    struct Verdict: Sendable {
        /// The first one: what follows a fault is its consequence.
        let finding: Finding?
        /// Frames that showed the newest value of names which had changed more than once.
        let conflated: Int
    }

    static func check(_ log: WatchLog, _ history: EnvironmentHistory) -> Verdict {
        var checker = LogChecker(log, history)
        for record in log.records {
            if let finding = checker.check(record) { return Verdict(finding: finding, conflated: checker.conflated) }
        }
        return Verdict(finding: checker.end(), conflated: checker.conflated)
    }

    private func finding(_ kind: Finding.Kind, _ revision: Int, _ detail: String) -> Finding {
        Finding(kind: kind, who: log.watcher, environment: log.environment, revision: revision, detail: detail)
    }

    private mutating func check(_ record: WatchLog.Record) -> Finding? {
        switch record {
        case .asked(let since):
            guard since == nil || since == position else {
                return finding(.wentBack, since ?? 0, "it asked from \(since ?? 0), knowing \(position)")
            }
            chain = since
            isFresh = true
            return nil
        case .snapshot(let revision, let cursor, let entries):
            return snapshot(revision, cursor, entries)
        case .changes(let previous, let revision, let cursor, let changes):
            return frame(previous, revision, cursor, changes)
        case .head(let revision, let cursor):
            return head(revision, cursor)
        }
    }

    private mutating func snapshot(_ revision: Int, _ cursor: String, _ entries: [LoggedChange]) -> Finding? {
        guard revision >= position else { return finding(.wentBack, revision, "a snapshot, knowing \(position)") }
        if let fault = place(revision, cursor) { return fault }
        held = Dictionary(entries.map { ($0.name, $0) }) { first, _ in first }
        guard held.count == entries.count else { return finding(.disorder, revision, "a name is twice in a snapshot") }
        if let fault = compareState(at: revision) { return fault }
        (position, chain, isFresh) = (revision, revision, false)
        return nil
    }

    private mutating func frame(_ previous: Int, _ revision: Int, _ cursor: String, _ changes: [LoggedChange]) -> Finding? {
        guard let chain else { return finding(.unasked, revision, "changes before a snapshot") }
        guard previous == chain else { return finding(.brokenChain, revision, "from \(previous), after \(chain)") }
        guard revision >= previous else { return finding(.wentBack, revision, "from \(previous) to \(revision)") }
        guard isFresh || !changes.isEmpty else { return finding(.unasked, revision, "an empty frame that answers nothing") }
        if let fault = place(revision, cursor) { return fault }
        for (earlier, later) in zip(changes, changes.dropFirst()) where later.revision <= earlier.revision {
            return finding(.disorder, revision, "\(earlier.revision) before \(later.revision)")
        }
        let due = history.changes(after: previous, through: revision).filter(log.visibility.shows).map(LoggedChange.init)
        if changes != due {
            if let fault = explain(changes, due, revision) { return fault }
            conflated += 1
        }
        for change in changes { held[change.name] = change.isSet ? change : nil }
        (position, self.chain, isFresh) = (max(position, revision), revision, false)
        return nil
    }

    /// Fewer changes than were made: either the newest of every name, or a fault.
    private func explain(_ changes: [LoggedChange], _ due: [LoggedChange], _ revision: Int) -> Finding? {
        var newest: [String: LoggedChange] = [:]
        for change in due { newest[change.name] = change }
        let known = Set(due)
        if let stranger = changes.first(where: { !known.contains($0) }) {
            return finding(.wrongChange, stranger.revision, "\(stranger) in a frame to \(revision)")
        }
        if let lacking = newest.values.filter({ !changes.contains($0) }).map(\.revision).min() {
            return finding(.missing, lacking, "not in the frame to \(revision)")
        }
        // All that it has is right, and the newest of each name is there; with some of the older ones it is neither whole nor conflated.
        guard changes.count == newest.count else {
            let lacking = due.first { !changes.contains($0) }
            return finding(.missing, lacking?.revision ?? revision, "neither whole nor conflated, in the frame to \(revision)")
        }
        return nil
    }

    private mutating func head(_ revision: Int, _ cursor: String) -> Finding? {
        guard position >= 0, !isFresh else { return finding(.unasked, revision, "a head before the first frame") }
        guard revision >= position else { return finding(.wentBack, revision, "a head, knowing \(position)") }
        if let fault = place(revision, cursor) { return fault }
        if let lacking = firstUnseen(through: revision) {
            return finding(.missing, lacking, "the heartbeat says that all up to \(revision) was sent")
        }
        position = revision
        return nil
    }

    private func end() -> Finding? {
        guard position >= 0 else { return finding(.missing, 0, "no frame ever came") }
        if let lacking = firstUnseen(through: history.head) { return finding(.missing, lacking, "at the end, knowing \(position)") }
        return compareState(at: history.head)
    }

    private func firstUnseen(through revision: Int) -> Int? {
        history.changes(after: position, through: revision).first(where: log.visibility.shows)?.revision
    }

    /// A frame leads to the end of a transaction of this history.
    private func place(_ revision: Int, _ cursor: String) -> Finding? {
        guard history.cursor(at: revision) == cursor else { return finding(.unknownCursor, revision, cursor) }
        guard history.isBoundary(revision) else { return finding(.cutTransaction, revision, "it goes on behind \(revision)") }
        return nil
    }

    private func compareState(at revision: Int) -> Finding? {
        let truth = history.state(at: revision).filter { log.visibility.shows($0.value) }.mapValues(LoggedChange.init)
        guard held != truth else { return nil }
        let names = Set(held.keys).union(truth.keys).filter { held[$0] != truth[$0] }.sorted()
        let name = names.first ?? ""
        let (own, right) = (held[name], truth[name])
        return finding(
            .wrongState,
            revision,
            "\(names.count) names, such as \(name): \(own.map { "\($0)" } ?? "absent") instead of \(right.map { "\($0)" } ?? "absent")"
        )
    }
}
