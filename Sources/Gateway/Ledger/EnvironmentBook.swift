// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Notifier
import Store

/// How a watch is counted.
package enum WatchStanding: UInt8, Sendable {
    /// The feed has not let it in yet.
    case uncounted
    case silent
    case acknowledging
}

/// One environment's watchers on one loop. A value, owned by the loop's ledger.
package struct EnvironmentBook {
    package enum Outcome: Equatable {
        /// It names a revision that this watcher was not sent.
        case beyond
        /// Nothing that wasn't known.
        case known
        case news
    }

    /// A watcher that acknowledges. Revisions are -1 for "none".
    private struct Entry {
        /// 0 where it is in none: behind, or on a long way back.
        var group: GroupID = 0
        /// The frame it started with in the group; until that is acknowledged, nothing that follows counts.
        var start: Int64 = 0
        var acknowledged: Int64 = -1
        var sent: Int64 = -1
    }

    private struct Failure {
        let revision: Int64
        /// How far it answers for, as of when the watcher left its group.
        var reach: Int64
        let message: String
    }

    private var silent = 0
    private var entries: [UInt32: Entry] = [:]
    private var failures: [UInt32: Failure] = [:]
    private var trails: [GroupID: (trail: VisibleTrail, watchers: Int)] = [:]
    /// Its tally is to be taken; kept by the ledger.
    var isDirty = false

    package init() {}

    package var isEmpty: Bool { silent == 0 && entries.isEmpty }

    // MARK: Watchers

    /// True where the tally changes.
    package mutating func enroll(_ connection: UInt32, from old: WatchStanding, to new: WatchStanding, isNew: Bool) -> Bool {
        guard isNew || old != new else { return false }
        let sent = entries[connection]?.sent ?? -1
        strike(connection, from: old)
        switch new {
        case .uncounted: break
        case .silent: silent += 1
        case .acknowledging:
            // Words about frames of the subscription before may still be on their way.
            entries[connection] = Entry(sent: sent)
        }
        return true
    }

    /// Gives the group that nobody here is in any more.
    package mutating func dismiss(_ connection: UInt32, from old: WatchStanding) -> GroupID? {
        let group = entries[connection]?.group ?? 0
        strike(connection, from: old)
        return group != 0 && vacate(group) ? group : nil
    }

    private mutating func strike(_ connection: UInt32, from old: WatchStanding) {
        switch old {
        case .uncounted: break
        case .silent: silent -= 1
        case .acknowledging:
            entries[connection] = nil
            failures[connection] = nil
        }
    }

    /// Everything acknowledged was said of another history. Gives the groups, which were that history's.
    mutating func forgetHistory() -> [GroupID] {
        for connection in entries.keys { entries[connection] = Entry() }
        failures = [:]
        defer { trails = [:] }
        return Array(trails.keys)
    }

    // MARK: Groups

    /// False for a silent watcher.
    package mutating func joined(_ connection: UInt32, _ group: GroupID, sent revision: Int64) -> Bool {
        guard var entry = entries[connection] else { return false }
        // Back to less than it answered for: the history is another one.
        if revision < max(entry.acknowledged, failures[connection]?.revision ?? -1) { forget(connection, &entry) }
        entry.group = group
        entry.start = revision
        entry.sent = revision
        entries[connection] = entry
        trails[group, default: (VisibleTrail(head: revision), 0)].watchers += 1
        return true
    }

    private mutating func forget(_ connection: UInt32, _ entry: inout Entry) {
        entry.acknowledged = -1
        failures[connection] = nil
    }

    /// True where nobody here is in the group any more.
    package mutating func left(_ connection: UInt32, _ group: GroupID, sent: Int64?) -> Bool {
        guard var entry = entries[connection], entry.group == group else { return false }
        // The trail goes on without it: what counts as applied until now stays so.
        let reach = failures[connection].map { failedReach(entry, $0) }
        entry.acknowledged = applied(entry)
        if let reach { failures[connection]?.reach = reach }
        entry.group = 0
        entry.sent = max(entry.sent, sent ?? entry.sent)
        entries[connection] = entry
        return vacate(group)
    }

    private mutating func vacate(_ group: GroupID) -> Bool {
        guard let watchers = trails[group]?.watchers else { return false }
        if watchers == 1 { trails[group] = nil } else { trails[group]?.watchers = watchers - 1 }
        return watchers == 1
    }

    package mutating func paged(_ connection: UInt32, sent revision: Int64) {
        entries[connection]?.sent = revision
    }

    /// True where the tally changes. A frame alone changes nothing: its revision is applied when it is acknowledged.
    package mutating func published(_ publication: Publication) -> Bool {
        guard trails[publication.group] != nil else { return false }
        let head = publication.head.revision
        guard !publication.isReset else {
            trails[publication.group]?.trail = VisibleTrail(head: head)
            for (connection, var entry) in entries where entry.group == publication.group || entry.group == 0 {
                forget(connection, &entry)
                entry.start = head
                entry.sent = head
                entries[connection] = entry
            }
            return true
        }
        for frame in publication.frames { trails[publication.group]?.trail.append(frame.cursor.revision) }
        trails[publication.group]?.trail.moved(to: head)
        return publication.frames.isEmpty
    }

    // MARK: Acknowledgements

    package mutating func acknowledged(_ acknowledgement: Acknowledgement, by connection: UInt32, sent: Int64?) -> Outcome? {
        guard var entry = entries[connection] else { return nil }
        let revision = acknowledgement.revision
        var limit = max(entry.sent, sent ?? -1)
        // Words about a history that was replaced may still be on their way.
        if let head = trails[entry.group]?.trail.head { limit = min(limit, max(head, entry.start)) }
        guard revision <= limit else { return .beyond }
        let failure = failures[connection]
        if let message = acknowledgement.failure {
            // What came later has been applied already, or has failed too.
            guard revision >= entry.acknowledged, revision >= failure?.revision ?? -1 else { return .known }
            failures[connection] = Failure(revision: revision, reach: revision, message: message)
            // On the same revision the newer word counts. Without the state that it started with it has nothing.
            if revision == entry.acknowledged { entry.acknowledged = revision == entry.start ? -1 : revision - 1 }
        } else {
            guard revision > entry.acknowledged else { return .known }
            entry.acknowledged = revision
            if let failure, failure.revision <= revision { failures[connection] = nil }
        }
        entries[connection] = entry
        return .news
    }

    // MARK: What counts as applied

    private func applied(_ entry: Entry) -> Int64 {
        reach(entry, from: entry.acknowledged)
    }

    private func failedReach(_ entry: Entry, _ failure: Failure) -> Int64 {
        max(failure.reach, reach(entry, from: failure.revision))
    }

    /// An answer to a frame is an answer to everything invisible that followed it.
    private func reach(_ entry: Entry, from revision: Int64) -> Int64 {
        guard revision >= entry.start, let trail = trails[entry.group]?.trail else { return revision }
        return trail.reach(from: revision)
    }

    package func tally(_ connectionName: (UInt32) -> String) -> WatcherTally {
        var tally = WatcherTally()
        tally.add(silent: silent)
        for (connection, entry) in entries {
            let applied = max(0, applied(entry))
            guard let failure = failures[connection] else {
                tally.add(applied: applied)
                continue
            }
            tally.add(applied: applied, failedUpTo: failedReach(entry, failure))
            tally.note(failureAt: failure.revision) {
                WatcherFailure(connection: connectionName(connection), revision: failure.revision, message: failure.message)
            }
        }
        return tally
    }
}
