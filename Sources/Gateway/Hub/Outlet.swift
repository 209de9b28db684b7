// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
package import Store

/// Where an outlet's bytes go: a connection, or a test's.
package protocol OutletSink: AnyObject {
    /// Sends what is taken now and keeps nothing; nil when closed. After less than all of it the owner hears that it drained.
    func writeSome(_ bytes: Span<UInt8>) -> Int?
}

extension Connection: OutletSink {}

/// What an outlet tells the protocol above it; never inside a call of the protocol's own.
package protocol OutletOwner: AnyObject {
    /// The group's log went on without this socket, which had been sent everything up to `cursor`.
    func outletFellBehind(_ group: GroupID, sent cursor: Cursor)
    /// The group ended; the socket has left it.
    func outletEnded(_ group: GroupID, _ reason: GroupEnd)
}

/// One socket's way out; confined to its loop. Its frames come from the logs of its groups and from a small queue of its own, and never
/// mix: a frame that was started is finished before anything else goes. While it isn't blocked it owns no bytes.
package final class Outlet {
    /// A place in a group's member table.
    package struct Seat {
        package let group: HubGroup
        /// The state the socket started from, while that is newer than what the log has sent it.
        package fileprivate(set) var base: Cursor?
        fileprivate var place: Int32

        package var index: Int { Int(place) }
    }

    /// A whole frame or several, shared with other sockets where it is a snapshot.
    private struct Chunk {
        let bytes: [UInt8]
        var sent = 0
    }

    private let sink: any OutletSink
    /// It holds the outlet, and leaves every group before it goes.
    package unowned var owner: (any OutletOwner)?
    private let hub: Hub
    private var queue: [Chunk] = []
    /// The group in whose log this socket is inside a frame.
    private var startedIn: HubGroup?
    package private(set) var seats = SmallArray<Seat>()
    /// The kernel refused bytes; `drained` follows.
    package private(set) var isBlocked = false
    package private(set) var isClosed = false
    /// While it is blocked: when bytes last went, in the loop's milliseconds.
    package private(set) var lastProgress: UInt64 = 0

    package init(_ sink: any OutletSink, hub: Hub) {
        self.sink = sink
        self.hub = hub
    }

    /// Bytes of its own that wait; those in the groups' logs are not counted.
    package var queuedBytes: Int { queue.reduce(0) { $0 + $1.bytes.count - $1.sent } }

    // MARK: Sending

    /// Sends whole frames now, or behind what is already waiting.
    package func send(_ bytes: [UInt8]) {
        guard !isClosed, !bytes.isEmpty else { return }
        guard !isBlocked else {
            queue.append(Chunk(bytes: bytes))
            return
        }
        guard let count = sink.writeSome(bytes.span) else {
            closed()
            return
        }
        guard count < bytes.count else { return }
        block()
        queue.append(Chunk(bytes: bytes, sent: count))
    }

    /// Sends everything that the log holds for this socket; returns how many bytes went. Called while it isn't blocked.
    @discardableResult
    package func sendLog(of group: HubGroup, at index: Int) -> Int {
        let offset = group.members[index].offset
        guard let count = group.log.withBytes(from: offset, { sink.writeSome($0) }) else {
            closed()
            return 0
        }
        advance(group, at: index, from: offset, by: count)
        return count
    }

    func prefetchSink() {
        ProcessorCache.prefetch(Unmanaged.passUnretained(sink as AnyObject))
    }

    private func block() {
        isBlocked = true
        lastProgress = hub.now
    }

    private func advance(_ group: HubGroup, at index: Int, from offset: Int, by count: Int) {
        let position = offset + count
        group.members[index].offset = position
        if count > 0 { hub.delivered(group, from: offset, to: position) }
        guard position < group.log.end else {
            // Nearly always: nothing of this object is written then.
            if startedIn != nil { startedIn = nil }
            return
        }
        block()
        startedIn = group.log.isBoundary(position) ? nil : group
    }

    /// The kernel takes bytes again: the started frame first, then the queue, then the logs. Returns true when nothing waits any more.
    package func drained() -> Bool {
        guard !isClosed else { return false }
        isBlocked = false
        if let group = startedIn, !finishStarted(group) { return false }
        guard flushQueue() else { return false }
        var position = 0
        while position < seats.count {
            let seat = seats[position]
            if seat.group.members[seat.index].offset < seat.group.log.end {
                sendLog(of: seat.group, at: seat.index)
                // The log may have been kept for this socket alone.
                hub.markDirty(seat.group)
                if isBlocked || isClosed { return false }
            }
            position += 1
        }
        return true
    }

    private func finishStarted(_ group: HubGroup) -> Bool {
        guard let seat = seats.first(where: { $0.group === group }) else {
            startedIn = nil
            return true
        }
        let offset = group.members[seat.index].offset
        // Only to the frame's end: what waits in the queue goes before the rest of the log.
        let end = group.log.frameEnd(offset)
        guard let count = group.log.withBytes(from: offset, to: end, { sink.writeSome($0) }) else {
            closed()
            return false
        }
        advance(group, at: seat.index, from: offset, by: count)
        if offset + count < end { return false }
        startedIn = nil
        isBlocked = false
        hub.markDirty(group)
        return true
    }

    private func flushQueue() -> Bool {
        while !queue.isEmpty {
            let chunk = queue[0]
            guard let count = sink.writeSome(chunk.bytes.span.extracting(chunk.sent...)) else {
                closed()
                return false
            }
            guard chunk.sent + count == chunk.bytes.count else {
                queue[0].sent += count
                block()
                return false
            }
            queue.removeFirst()
        }
        queue = []
        return true
    }

    // MARK: Groups

    /// Takes a seat at the end of the group's log. `base` is the state that the frames sent before lead to; with `needsVariant` it is
    /// newer than the group's last frame.
    package func join(_ group: HubGroup, base: Cursor, needsVariant: Bool) {
        guard !isClosed else { return }
        let index = group.add(self, needsVariant: needsVariant)
        seats.append(Seat(group: group, base: base, place: Int32(index)))
    }

    /// Gives the seat up; a frame that was started there is finished from a copy of its rest.
    package func leave(_ group: HubGroup) {
        guard let position = seats.firstIndex(where: { $0.group === group }) else { return }
        let seat = seats.remove(at: position)
        if startedIn === group {
            startedIn = nil
            let offset = group.members[seat.index].offset
            let rest = group.log.withBytes(from: offset, to: group.log.frameEnd(offset)) { bytes in
                bytes.withUnsafeBufferPointer { [UInt8]($0) }
            }
            queue.insert(Chunk(bytes: rest), at: 0)
        }
        group.remove(at: seat.index)
    }

    /// What this socket has been sent, or is sure to be sent as a started frame, of a group's environment.
    package func sentCursor(in group: HubGroup) -> Cursor? {
        guard let seat = seats.first(where: { $0.group === group }) else { return nil }
        let offset = group.members[seat.index].offset
        let sent = offset == group.log.end ? group.head : group.log.cursor(sentBefore: group.log.frameEnd(offset))
        if let base = seat.base, base.revision > sent.revision { return base }
        return sent
    }

    /// The state that this socket started from, of which the group's next frame is told a variant.
    package func base(in group: HubGroup) -> Int64? {
        seats.first { $0.group === group }?.base?.revision
    }

    /// The group drops this socket: everything from the next frame on comes as a conflated state later.
    package func fallBehind(_ group: HubGroup) {
        guard let cursor = sentCursor(in: group) else { return }
        leave(group)
        owner?.outletFellBehind(group.id, sent: cursor)
    }

    package func end(_ group: HubGroup, _ reason: GroupEnd) {
        leave(group)
        owner?.outletEnded(group.id, reason)
    }

    package func seatMoved(_ group: HubGroup, to index: Int) {
        guard let position = seats.firstIndex(where: { $0.group === group }) else { return }
        seats[position].place = Int32(index)
    }

    /// Another history began: the state that this socket started from is none of it.
    package func baseForgotten(_ group: HubGroup) {
        guard let position = seats.firstIndex(where: { $0.group === group }) else { return }
        seats[position].base = nil
    }

    /// Changes that went out beside the log.
    package func counted(_ changes: Int) {
        hub.delivered(changes: changes)
    }

    /// The connection is gone: nothing is sent any more, and the seats are free.
    package func closed() {
        guard !isClosed else { return }
        isClosed = true
        isBlocked = true
        startedIn = nil
        queue = []
    }

    package func releaseSeats() {
        for seat in seats { seat.group.remove(at: seat.index) }
        seats.removeAll()
    }
}
