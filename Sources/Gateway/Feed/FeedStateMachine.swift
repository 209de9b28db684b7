// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Feeds: one environment's committed changes, put in order and encoded once for everybody who watches it here.
// Flows through: messages from Redis and rows from PostgreSQL in, whole transactions in order out to the groups' frames.
// Owner: the feed loop owns every feed; nothing here is touched from another thread.
// Must hold: revisions are published strictly rising, whole transactions only; what Redis lost, doubled or reordered changes nothing in that;
//   a value is believed only when its message was authenticated or PostgreSQL gave it.

package import Store

/// What the driver has to do after an event.
package enum FeedAction: Equatable {
    case none
    /// Whole transactions that continue what was published before.
    case publish([Change])
    /// The content was replaced: everybody gets it as a snapshot.
    case publishSnapshot
    /// Something doesn't fit this history: compare the marks with PostgreSQL at once.
    case verify
    /// This is another history, or too much is missing: read the snapshot again.
    case reload
    /// The environment is gone.
    case end
}

/// Decides what becomes of each message and each row of one environment. Times are milliseconds of any steady clock.
package struct FeedStateMachine {
    /// A hole is given this long to fill by itself, because messages of several publishers overtake each other.
    package static let reorderWait: UInt64 = 20
    private static let bufferLimit = 2_048
    private static let bufferWeightLimit = 4 * 1024 * 1024

    private enum Phase: Equatable {
        /// A snapshot is being read; `wanted` collects what is announced meanwhile.
        case loading
        case live
        case ended
    }

    private var phase = Phase.loading
    package private(set) var content = FeedContent(head: Cursor(revision: 0, mark: 0), entries: [])
    /// Counts the histories: an answer that was asked for under another one says nothing.
    package private(set) var generation = 0
    /// Changes that cannot be applied yet: something before them, or the rest of their transaction, is missing.
    private var buffer: [Int64: Change] = [:]
    private var bufferWeight = 0
    /// The highest revision that is known to exist.
    private var wanted: Int64 = 0
    private var due: UInt64?
    private var isReading = false

    package init() {}

    package var head: Cursor { content.head }
    package var isLive: Bool { phase == .live }
    /// When the missing rows are to be read from PostgreSQL; nil while nothing is missing or they are being read.
    package var gapDue: UInt64? { isReading || phase != .live ? nil : due }
    /// Everything that is known to exist is here.
    package var isSettled: Bool { phase == .live && !hasGap && !isReading }
    private var hasGap: Bool { content.head.revision < wanted }

    // MARK: Snapshots

    /// A snapshot was read, with the changes that came right before and after it.
    package mutating func loaded(_ content: FeedContent, later: [Change], at now: UInt64) -> FeedAction {
        switch phase {
        case .loading:
            let isFirst = generation == 0
            phase = .live
            generation += 1
            self.content = content
            self.content.apply(Self.continuation(of: later, after: content.head.revision) ?? [])
            wanted = max(wanted, content.head.revision)
            due = hasGap ? now : nil
            return isFirst ? .none : .publishSnapshot
        case .live, .ended:
            // Deleted while the read was under way.
            return .none
        }
    }

    // MARK: Messages

    /// An authenticated message brought one change.
    package mutating func received(_ change: Change, at now: UInt64) -> FeedAction {
        guard change.isConsistent else { return suspected() }
        switch phase {
        case .ended:
            // Published before the deletion.
            return .none
        case .loading:
            wanted = max(wanted, change.last)
            return .none
        case .live:
            break
        }
        if change.revision <= content.head.revision {
            guard let mark = content.mark(at: change.revision), mark != change.mark else { return .none }
            return .verify
        }
        wanted = max(wanted, change.last)
        if buffer.isEmpty, change.revision == content.head.revision + 1, change.first == change.last {
            content.apply([change])
            progressed(at: now)
            return .publish([change])
        }
        if let other = buffer[change.revision], other != change {
            // Two histories in one channel: only PostgreSQL knows.
            dropBuffer(readAt: now)
            return .verify
        }
        hold(change, at: now)
        let whole = takeWhole(at: now)
        guard !whole.isEmpty else { return .none }
        content.apply(whole)
        progressed(at: now)
        return .publish(whole)
    }

    /// A transaction up to `last` was announced without its values.
    package mutating func announced(last: Int64, at now: UInt64) -> FeedAction {
        switch phase {
        case .ended: break
        case .loading: wanted = max(wanted, last)
        case .live where last > content.head.revision:
            wanted = max(wanted, last)
            due = now
        case .live: break
        }
        return .none
    }

    /// A message that proves nothing named this environment.
    package mutating func suspected() -> FeedAction {
        phase == .live ? .verify : .none
    }

    private mutating func hold(_ change: Change, at now: UInt64) {
        guard buffer.count < Self.bufferLimit, bufferWeight < Self.bufferWeightLimit else {
            dropBuffer(readAt: now)
            return
        }
        let lowest = buffer.keys.min().flatMap { buffer[$0] }
        if buffer.updateValue(change, forKey: change.revision) == nil { bufferWeight += change.weight }
        // The wait starts with the hole, and again with each message of the transaction that is waited for.
        if due == nil || lowest?.first == change.first { due = now + Self.reorderWait }
    }

    private mutating func dropBuffer(readAt now: UInt64) {
        buffer = [:]
        bufferWeight = 0
        due = now
    }

    /// Takes the complete transactions that continue the content out of the buffer.
    private mutating func takeWhole(at now: UInt64) -> [Change] {
        var taken: [Change] = []
        var next = content.head.revision + 1
        while let start = buffer[next] {
            let length = start.last - next + 1
            guard start.first == next else {
                dropBuffer(readAt: now)
                break
            }
            guard Int64(buffer.count) >= length else { break }
            let members = (next...start.last).compactMap { buffer[$0] }
            guard Int64(members.count) == length else { break }
            guard members.allSatisfy({ $0.first == start.first && $0.last == start.last }) else {
                dropBuffer(readAt: now)
                break
            }
            for member in members { release(member) }
            taken += members
            next = start.last + 1
        }
        return taken
    }

    private mutating func release(_ change: Change) {
        if buffer.removeValue(forKey: change.revision) != nil { bufferWeight -= change.weight }
    }

    /// The content moved on: what is still missing is another hole with its own wait.
    private mutating func progressed(at now: UInt64) {
        due = hasGap ? now + Self.reorderWait : nil
    }

    // MARK: Gap repair

    /// The missing rows are being read from PostgreSQL.
    package mutating func gapReadStarted() {
        isReading = true
        due = nil
    }

    /// The rows after `cursor`, which was the head when they were asked for under `generation`.
    package mutating func gapRead(_ page: ChangesPage, asked cursor: Cursor, generation asked: Int, at now: UInt64) -> FeedAction {
        guard asked == generation else { return .none }
        isReading = false
        switch phase {
        case .ended, .loading:
            return .none
        case .live:
            break
        }
        guard !page.tooOld, page.markAtSince == cursor.mark,
            var whole = Self.continuation(of: page.changes, after: content.head.revision)
        else { return .reload }
        wanted = max(wanted, page.revision)
        content.apply(whole)
        for change in buffer.values where change.revision <= content.head.revision { release(change) }
        let more = takeWhole(at: now)
        content.apply(more)
        whole += more
        if !hasGap {
            due = nil
        } else if page.cursor.revision < page.revision {
            // One page of several.
            due = now
        } else if !whole.isEmpty {
            due = now + Self.reorderWait
        } else {
            // Announced, but PostgreSQL has no such rows: another history's message. The next sweep looks at the marks anyway.
            wanted = content.head.revision
            buffer = [:]
            bufferWeight = 0
            due = nil
            return .verify
        }
        return whole.isEmpty ? .none : .publish(whole)
    }

    /// PostgreSQL did not answer; `retryAt` is when to ask again.
    package mutating func gapReadFailed(retryAt: UInt64) {
        isReading = false
        if phase == .live { due = retryAt }
    }

    /// The rows after `revision`, or nil where they don't continue it: trimmed, or not this history's.
    private static func continuation(of rows: [Change], after revision: Int64) -> [Change]? {
        let later = rows.filter { $0.revision > revision }
        var next = revision + 1
        for row in later {
            guard row.revision == next else { return nil }
            next += 1
        }
        guard let last = later.last else { return later }
        // A page that was cut inside a transaction would show part of it.
        return last.revision == last.last && later[0].first == later[0].revision ? later : nil
    }

    // MARK: Comparison with PostgreSQL

    /// The sweep asked under `generation` about the revision of `cursor`, which was the head then.
    package mutating func compared(_ head: Head, asked cursor: Cursor, generation asked: Int, at now: UInt64) -> FeedAction {
        guard phase == .live, asked == generation else { return .none }
        guard head.revision >= cursor.revision, head.markAtProbe == cursor.mark else { return .reload }
        wanted = max(wanted, head.revision)
        // Mostly its message is on its way: the same wait as for a hole.
        if hasGap, due == nil, !isReading { due = now + Self.reorderWait }
        return .none
    }

    /// The driver begins to read the snapshot again.
    package mutating func reloadStarted() {
        switch phase {
        case .live:
            phase = .loading
            isReading = false
            buffer = [:]
            bufferWeight = 0
            wanted = 0
            due = nil
        case .loading, .ended:
            break
        }
    }

    /// PostgreSQL has no such environment any more.
    package mutating func deleted() -> FeedAction {
        guard phase != .ended else { return .none }
        phase = .ended
        buffer = [:]
        due = nil
        return .end
    }
}
