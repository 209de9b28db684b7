// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Store

/// A committed log as PostgreSQL would have it, and the answers it gives to a feed.
struct FeedLog {
    let id = UUID()
    private(set) var changes: [Change] = []
    private(set) var seed: UInt32
    private let originMark: UInt32

    init(seed: UInt32 = 1) {
        self.seed = seed
        originMark = seed
    }

    var head: Cursor { changes.last.map { Cursor(revision: $0.revision, mark: $0.mark) } ?? Cursor(revision: 0, mark: originMark) }

    /// One transaction: each element is a name with its new value, or nil for a delete.
    @discardableResult
    mutating func commit(_ edits: [(String, String?)], kind: EntryKind = .variable) -> [Change] {
        let first = Int64(changes.count) + 1
        let last = first + Int64(edits.count) - 1
        var made: [Change] = []
        for (offset, edit) in edits.enumerated() {
            seed = seed &* 1_664_525 &+ 1_013_904_223
            let version = Int64(changes.count(where: { $0.name == edit.0 })) + 1
            let change = Change(
                environmentID: id,
                revision: first + Int64(offset),
                first: first,
                last: last,
                mark: seed,
                name: edit.0,
                kind: kind,
                op: edit.1 == nil ? .delete : .set,
                value: edit.1.map { kind == .secret ? .sealed("sealed:\($0)") : .plain($0) },
                version: version,
                at: Timestamp(milliseconds: 1_769_860_800_125),
                by: "token:ab12cd34"
            )
            changes.append(change)
            made.append(change)
        }
        return made
    }

    /// The database was restored to an earlier state, and goes on with other marks.
    mutating func restore(to revision: Int64, newSeed: UInt32) {
        changes.removeLast(changes.count - Int(revision))
        seed = newSeed
    }

    func mark(at revision: Int64) -> UInt32? {
        if revision == 0 { return originMark }
        guard revision >= 1, revision <= Int64(changes.count) else { return nil }
        return changes[Int(revision) - 1].mark
    }

    func page(since revision: Int64, limit: Int = .max) -> ChangesPage {
        var rows = Array(changes.filter { $0.revision > revision })
        if rows.count > limit {
            let end = rows[limit - 1].last
            rows = rows.filter { $0.revision <= end }
        }
        return ChangesPage(
            environmentID: id,
            changes: rows,
            revision: head.revision,
            mark: head.mark,
            markAtSince: mark(at: revision),
            tooOld: false
        )
    }

    func compared(at revision: Int64) -> Head {
        Head(id: id, revision: head.revision, mark: head.mark, markAtProbe: mark(at: revision))
    }

    var entries: [String: SnapshotEntry] {
        var entries: [String: SnapshotEntry] = [:]
        for change in changes {
            entries[change.name] = change.value.map {
                SnapshotEntry(name: change.name, kind: change.kind, value: $0, version: change.version, revision: change.revision)
            }
        }
        return entries
    }

    var content: FeedContent { FeedContent(head: head, entries: entries.values) }
}

/// A feed's state machine with its surroundings: does what the actions say, and keeps what was published.
struct FeedRun {
    var machine = FeedStateMachine()
    private(set) var published: [Change] = []
    private(set) var batches: [[Change]] = []
    private(set) var snapshots = 0
    private(set) var reads = 0
    private(set) var comparisons = 0
    private(set) var hasEnded = false
    private(set) var wantsComparison = false
    var now: UInt64 = 1_000

    init(startingFrom log: FeedLog) {
        perform(machine.loaded(log.content, later: [], at: now), log)
    }

    mutating func receive(_ change: Change, _ log: FeedLog) {
        perform(machine.received(change, at: now), log)
    }

    mutating func announce(_ last: Int64, _ log: FeedLog) {
        perform(machine.announced(last: last, at: now), log)
    }

    mutating func suspect(_ log: FeedLog) {
        perform(machine.suspected(), log)
    }

    /// Time passes; a hole whose wait is over is read.
    mutating func pass(_ milliseconds: UInt64, _ log: FeedLog, limit: Int = .max) {
        now += milliseconds
        while let due = machine.gapDue, due <= now { readGap(log, limit: limit) }
    }

    mutating func readGap(_ log: FeedLog, limit: Int = .max) {
        let (asked, generation) = (machine.head, machine.generation)
        machine.gapReadStarted()
        reads += 1
        perform(machine.gapRead(log.page(since: asked.revision, limit: limit), asked: asked, generation: generation, at: now), log)
    }

    /// The sweep.
    mutating func compare(_ log: FeedLog) {
        wantsComparison = false
        comparisons += 1
        let asked = machine.head
        let answer = log.compared(at: asked.revision)
        perform(machine.compared(answer, asked: asked, generation: machine.generation, at: now), log)
    }

    private mutating func perform(_ action: FeedAction, _ log: FeedLog) {
        switch action {
        case .none: break
        case .publish(let changes):
            batches.append(changes)
            published += changes
        case .publishSnapshot:
            snapshots += 1
            published = []
        case .verify: wantsComparison = true
        case .reload:
            machine.reloadStarted()
            perform(machine.loaded(log.content, later: [], at: now), log)
        case .end: hasEnded = true
        }
    }
}
