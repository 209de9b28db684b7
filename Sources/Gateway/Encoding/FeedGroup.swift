// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Changes and snapshots as bytes: once for all who see the same of an environment in the same format.
// Flows through: changes and contents from a feed into frames; frames as publications to the loops, and as the start of each new watcher.
// Owner: a feed owns its groups, a group its caches; all on the feed loop.
// Must hold: `previousRevision` is the `revision` of the frame before, for everybody; a frame ends where a transaction does; what a group may
//   not see is in none of its bytes.

import DequeModule
package import Store

/// Watchers of one environment who see the same: their frames are encoded once. Confined to the feed loop.
package final class FeedGroup {
    package struct Key: Hashable {
        package let visibility: Visibility
        package let names: NameSet
        package let format: WatchFormat

        package init(visibility: Visibility, names: NameSet, format: WatchFormat = .webSocket) {
            self.visibility = visibility
            self.names = names
            self.format = format
        }

        func shows(_ name: String, _ kind: EntryKind) -> Bool {
            names.contains(name) && visibility.shows(name, kind: kind)
        }

        func shows(_ change: Change) -> Bool {
            // keyshade's clients hear of values only.
            (format != .socketIO || change.op == .set) && shows(change.name, change.kind)
        }
    }

    /// What a watcher begins with.
    package struct Start {
        package let bytes: [UInt8]
        /// The state that the bytes lead to.
        package let cursor: Cursor
        /// The group's last frame led to an earlier state, so this watcher's next one must tell another `previousRevision`.
        package let needsVariant: Bool
    }

    private struct ResumeKey: Hashable {
        let since: Int64
        let isConflated: Bool
    }

    /// A conflated frame up to this size isn't worth encoding a snapshot to compare with.
    private static let smallFrame = 4 * 1024
    /// How long ago a change may be that a client of keyshade's hears of again when it comes back, in milliseconds.
    private static let recentTime: Int64 = 10 * 60 * 1000
    /// Encoded ways back that are kept for others who come from the same revision.
    private static let cacheLimit = 4 * 1024 * 1024

    package let id: GroupID
    package let key: Key
    private let encoder: FrameEncoder
    private let open: SecretOpener
    /// Sockets on each loop.
    package private(set) var seats: [Int]
    /// The `revision` of the group's last frame.
    private var sentRevision: Int64
    /// States that watchers started from since then.
    private var variantBases: Set<Int64> = []
    private var snapshot: (cursor: Cursor, bytes: [UInt8])?
    /// For keyshade's clients: what has changed from a revision on.
    private var recent: (cursor: Cursor, first: Int64, bytes: [UInt8])?
    private var resumes: [ResumeKey: [UInt8]] = [:]
    private var resumesWeight = 0
    /// The head that the cached bytes belong to.
    private var cachedHead: Cursor
    /// When a watcher last started, in the feed loop's milliseconds.
    private var startedAt: UInt64 = 0

    package init(id: GroupID, key: Key, loops: Int, head: Cursor, encoder: FrameEncoder, open: @escaping SecretOpener) {
        self.id = id
        self.key = key
        self.encoder = encoder
        self.open = open
        seats = Array(repeating: 0, count: loops)
        sentRevision = head.revision
        cachedHead = head
    }

    package var isEmpty: Bool { seats.allSatisfy { $0 == 0 } }

    package func joined(on loop: Int) { seats[loop] += 1 }

    package func left(on loop: Int) {
        precondition(seats[loop] > 0, "a watcher left group \(id) that it wasn't in")
        seats[loop] -= 1
    }

    // MARK: Publishing

    /// Whole transactions that lead to `head`, encoded for this group; no frame where nothing is visible.
    package func publication(of changes: [Change], leadingTo head: Cursor) throws -> Publication {
        dropCaches()
        let visible = changes.filter(key.shows)
        guard !visible.isEmpty else {
            return Publication(group: id, frames: [], head: head)
        }
        let parts = Self.parts(of: visible)
        let frames = try encoded(parts, of: changes, from: sentRevision, to: head)
        var variants: [Int64: [UInt8]] = [:]
        for base in variantBases where base != sentRevision {
            variants[base] = try encoder.changes(from: base, to: frames[0].cursor, parts[0], as: key.format, open: open)
        }
        variantBases = []
        sentRevision = head.revision
        return Publication(group: id, frames: frames, variants: variants, head: head)
    }

    /// Another history: everybody gets the snapshot.
    package func reset(to content: FeedContent) throws -> Publication {
        dropCaches()
        variantBases = []
        sentRevision = content.head.revision
        let frame = EncodedFrame(bytes: try snapshotBytes(content), cursor: content.head, changes: 1, committedAt: 0)
        return Publication(group: id, frames: [frame], head: content.head, isReset: true)
    }

    /// Cuts behind the transaction with which a frame becomes large. `changes` are never empty.
    private static func parts(of changes: [Change]) -> [ArraySlice<Change>] {
        var parts: [ArraySlice<Change>] = []
        var start = 0
        var weight = 0
        for (index, change) in changes.enumerated() {
            weight += change.weight
            let endsTransaction = index + 1 == changes.count || changes[index + 1].first != change.first
            let nextWeight = index + 1 < changes.count ? changes[index + 1].weight : 0
            if endsTransaction, weight + nextWeight > FrameEncoder.changesLimit || index + 1 == changes.count {
                parts.append(changes[start...index])
                start = index + 1
                weight = 0
            }
        }
        return parts
    }

    /// `changes` are all of them, whose visible ones are in the parts.
    private func encoded(
        _ parts: [ArraySlice<Change>],
        of changes: [Change],
        from revision: Int64,
        to head: Cursor
    ) throws -> [EncodedFrame] {
        var frames: [EncodedFrame] = []
        var previous = revision
        for (index, part) in parts.enumerated() {
            // Invisible changes behind the last visible one belong to the last frame. In between, the state is the one after the last
            // visible transaction, whose end may be invisible, too.
            let isLast = index + 1 == parts.count
            guard let newest = part.last else { continue }
            let end = changes.first { $0.revision == newest.last } ?? newest
            let cursor = isLast ? head : end.cursor
            frames.append(
                EncodedFrame(
                    bytes: try encoder.changes(from: previous, to: cursor, part, as: key.format, open: open),
                    cursor: cursor,
                    changes: part.count,
                    committedAt: newest.at.milliseconds
                )
            )
            previous = cursor.revision
        }
        return frames
    }

    // MARK: Starting

    /// The current state, whatever the watcher had; `isFirst` where that is nothing of this environment.
    package func start(with content: FeedContent, isFirst: Bool = true, at now: UInt64) throws -> Start {
        let bytes = try isFirst && key.format == .socketIO ? recentBytes(content) : snapshotBytes(content)
        return started(bytes, content.head, at: now)
    }

    /// What followed `since`, which is in memory: every change, or the newest of each name.
    package func start(since revision: Int64, isConflated: Bool, in content: FeedContent, at now: UInt64) throws -> Start? {
        guard let changes = content.changes(since: revision) else { return nil }
        let cacheKey = ResumeKey(since: revision, isConflated: isConflated)
        if cachedHead != content.head { dropCaches() }
        if let bytes = resumes[cacheKey] { return started(bytes, content.head, at: now) }
        var bytes: [UInt8]
        if isConflated {
            let visible = Self.newest(of: changes.filter(key.shows))
            bytes = try encoder.changes(from: revision, to: content.head, visible, as: key.format, open: open)
            if bytes.count > Self.smallFrame {
                let whole = try snapshotBytes(content)
                if whole.count < bytes.count { bytes = whole }
            }
        } else {
            bytes = try changesBytes(Array(changes), from: revision, to: content.head)
        }
        cachedHead = content.head
        if resumesWeight < Self.cacheLimit {
            resumes[cacheKey] = bytes
            resumesWeight += bytes.count
        }
        return started(bytes, content.head, at: now)
    }

    /// The same from rows that were read for this watcher, because memory doesn't reach back that far.
    package func start(with changes: [Change], since revision: Int64, to head: Cursor, at now: UInt64) throws -> Start {
        started(try page(of: changes, since: revision, to: head), head, at: now)
    }

    /// A part of a long way back; the watcher isn't in the group yet.
    package func page(of changes: [Change], since revision: Int64, to cursor: Cursor) throws -> [UInt8] {
        try changesBytes(changes, from: revision, to: cursor)
    }

    private func started(_ bytes: [UInt8], _ cursor: Cursor, at now: UInt64) -> Start {
        startedAt = now
        // Packets of keyshade's clients tell no revision.
        let needsVariant = key.format != .socketIO && cursor.revision != sentRevision
        if needsVariant { variantBases.insert(cursor.revision) }
        return Start(bytes: bytes, cursor: cursor, needsVariant: needsVariant)
    }

    private func changesBytes(_ changes: [Change], from revision: Int64, to head: Cursor) throws -> [UInt8] {
        let visible = changes.filter(key.shows)
        guard !visible.isEmpty else { return try encoder.changes(from: revision, to: head, visible, as: key.format, open: open) }
        return try encoded(Self.parts(of: visible), of: changes, from: revision, to: head).reduce(into: []) { $0 += $1.bytes }
    }

    /// The newest change of each name, in rising order.
    private static func newest(of changes: [Change]) -> [Change] {
        var seen: Set<String> = []
        return changes.reversed().filter { seen.insert($0.name).inserted }.reversed()
    }

    private func snapshotBytes(_ content: FeedContent) throws -> [UInt8] {
        if let snapshot, snapshot.cursor == content.head { return snapshot.bytes }
        let visible = content.sortedEntries.filter { key.shows($0.name, $0.kind) }
        let bytes = try encoder.snapshot(content.head, entries: visible, as: key.format, open: open)
        snapshot = (content.head, bytes)
        return bytes
    }

    /// For keyshade's clients, who have read the rest over REST: what they may have missed while they were on their way.
    private func recentBytes(_ content: FeedContent) throws -> [UInt8] {
        let start = Timestamp.now.milliseconds - Self.recentTime
        guard let oldest = content.history.first else { return [] }
        // All of memory is recent: there may have been more.
        let isAll = oldest.at.milliseconds >= start && content.floor > 0
        let first = isAll ? 0 : content.history.first { $0.at.milliseconds >= start }?.revision ?? Int64.max
        if let recent, recent.cursor == content.head, recent.first == first { return recent.bytes }
        let visible = content.entries.values.filter { $0.revision >= first && key.shows($0.name, $0.kind) }
        let sorted = visible.sorted { $0.name < $1.name }
        let bytes = try encoder.snapshot(content.head, entries: sorted, as: key.format, open: open)
        recent = (content.head, first, bytes)
        return bytes
    }

    // MARK: Memory

    private func dropCaches() {
        snapshot = nil
        recent = nil
        resumes = [:]
        resumesWeight = 0
    }

    /// Encoded starts are kept for the next client of a storm, not for ever.
    package func forgetStarts(olderThan age: UInt64, at now: UInt64) {
        if now >= startedAt + age { dropCaches() }
    }
}
