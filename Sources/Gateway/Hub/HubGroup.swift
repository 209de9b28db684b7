// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
package import Store

/// One feed group's sockets on one loop: its log, and each socket's place in it. Confined to the loop.
package final class HubGroup {
    /// A socket this far behind that takes nothing is dropped from the log and gets the newest state later.
    package static let lagLimit = 1024 * 1024
    /// Bounds the log while sockets that do take bytes have not had their turn yet.
    package static let hardLimit = 8 * 1024 * 1024

    package struct Member {
        package let outlet: Outlet
        package var offset: Int
        /// The next frame must be the variant for the state that the socket started from.
        package var needsVariant: Bool
    }

    package let id: GroupID
    package var log: ByteLog
    package var members: ContiguousArray<Member> = []
    /// The feed's head as of the last publication.
    package private(set) var head: Cursor
    /// Is in the hub's queue of groups to sweep.
    package var isDirty = false
    private var position = 0
    /// Members that the pass under way still has to look at.
    private var remaining = 0
    private var variantsNeeded = 0
    private var limitedAt = 0

    package init(id: GroupID, head: Cursor) {
        self.id = id
        self.head = head
        log = ByteLog(head)
    }

    // MARK: Members

    package func add(_ outlet: Outlet, needsVariant: Bool) -> Int {
        if needsVariant { variantsNeeded += 1 }
        members.append(Member(outlet: outlet, offset: log.end, needsVariant: needsVariant))
        return members.count - 1
    }

    package func remove(at index: Int) {
        if members[index].needsVariant { variantsNeeded -= 1 }
        members.swapAt(index, members.count - 1)
        members.removeLast()
        if index < members.count { members[index].outlet.seatMoved(self, to: index) }
        // The one that moved may have been still to come: the pass starts over, and skips at a glance what it has done.
        if remaining > 0 { remaining = members.count }
    }

    // MARK: Publishing

    package func publish(_ publication: Publication) {
        if publication.isReset { forgetBases() }
        for (index, frame) in publication.frames.enumerated() {
            let start = log.end
            log.append(frame.bytes, leadingTo: frame.cursor, changes: frame.changes, committedAt: frame.committedAt)
            if index == 0, variantsNeeded > 0 { sendVariants(publication.variants, from: start, to: log.end, changes: frame.changes) }
        }
        head = publication.head
        guard !publication.frames.isEmpty else {
            log.moved(to: head)
            return
        }
        remaining = members.count
        if log.count > Self.lagLimit, log.end - limitedAt > Self.lagLimit / 4 { limit() }
    }

    private func sendVariants(_ variants: [Int64: [UInt8]], from start: Int, to end: Int, changes: Int) {
        for index in members.indices {
            guard members[index].needsVariant else { continue }
            members[index].needsVariant = false
            let outlet = members[index].outlet
            guard members[index].offset == start, let base = outlet.base(in: self), let bytes = variants[base] else { continue }
            members[index].offset = end
            outlet.send(bytes)
            outlet.counted(changes)
        }
        variantsNeeded = 0
    }

    private func forgetBases() {
        for index in members.indices {
            members[index].needsVariant = false
            members[index].outlet.baseForgotten(self)
        }
        variantsNeeded = 0
    }

    /// Drops the sockets that are too far behind, and what was kept for them alone.
    private func limit() {
        limitedAt = log.end
        let cut = log.boundary(atOrAfter: log.end - Self.lagLimit)
        let dropAll = log.count > Self.hardLimit
        for index in members.indices.reversed() where members[index].offset < cut {
            let outlet = members[index].outlet
            if outlet.isBlocked || dropAll { outlet.fallBehind(self) }
        }
        trim()
    }

    /// Lets go of what every member has.
    package func trim() {
        guard !log.isEmpty else { return }
        var lowest = log.end
        for member in members where member.offset < lowest { lowest = member.offset }
        log.drop(before: lowest)
    }

    // MARK: Sweeping

    package var hasWork: Bool { remaining > 0 }

    /// Looks at every member again: something may be left for one, or kept for none.
    package func restartPass() {
        remaining = members.count
    }

    /// A send takes the kernel so long that the sockets to come are best fetched while it works.
    private func prefetch() {
        guard position + 2 < members.count else { return }
        ProcessorCache.prefetch(Unmanaged.passUnretained(members[position + 2].outlet))
        members[position + 1].outlet.prefetchSink()
    }

    /// Goes on with the pass: at most `limit` sends. Returns how many it made.
    package func sweep(atMost limit: Int) -> Int {
        var sends = 0
        // Looking is cheap, but not free: a group of nothing but stalled sockets must not hold the loop either.
        var looks = 16 * limit
        while remaining > 0, sends < limit, looks > 0 {
            if position >= members.count { position = 0 }
            let member = members[position]
            prefetch()
            if member.offset < log.end, !member.outlet.isBlocked {
                member.outlet.sendLog(of: self, at: position)
                sends += 1
            }
            position += 1
            remaining -= 1
            looks -= 1
        }
        return sends
    }
}
