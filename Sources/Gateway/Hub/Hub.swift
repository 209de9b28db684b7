// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Fan-out on one loop: frames that were encoded once for a group go to every socket of it.
// Flows through: publications posted by the feed loop into the groups' logs, and from there to the sockets, a slice of sends each turn.
// Owner: each loop has one hub; groups, outlets and logs are confined to it.
// Must hold: a frame that was started on a socket is finished before any other byte; a slow socket costs the others nothing; a log never
//   keeps more than its limit for anybody.

import DequeModule
package import Store

/// The groups of one loop and the sweep over those with something to send. Confined to its loop.
package final class Hub {
    /// Sends of one turn: about a tenth of a millisecond, after which events are looked at again. What has come meanwhile joins the sweep
    /// under way; with 256 it joined so late that a fan-out to 1,000 sockets made an eighth less.
    package static let sendsPerTurn = 32

    private let clock: () -> UInt64
    private let wallClock: () -> Int64
    private let metrics: GatewayMetrics
    /// Asks for a turn in which `sweep` runs.
    private let requestTurn: () -> Void
    private var groups: [GroupID: HubGroup] = [:]
    private var dirty: Deque<HubGroup> = []
    private var deliveries = 0
    private var lastDelivery = Delivery(group: 0, from: 0, to: 0, changes: 0)

    /// Sockets of one sweep mostly go the same way through the log: counted once.
    private struct Delivery {
        var group: GroupID
        var from: Int
        var to: Int
        var changes: Int
    }

    /// `clock` gives steady milliseconds, `wallClock` those since 1970.
    package init(
        metrics: GatewayMetrics,
        clock: @escaping () -> UInt64,
        wallClock: @escaping () -> Int64,
        requestTurn: @escaping () -> Void
    ) {
        self.metrics = metrics
        self.clock = clock
        self.wallClock = wallClock
        self.requestTurn = requestTurn
    }

    package var now: UInt64 { clock() }

    package func publish(_ publications: [Publication]) {
        for publication in publications {
            // A group without sockets here is gone; the feed loop hears of it.
            guard let group = groups[publication.group] else { continue }
            group.publish(publication)
            if group.members.isEmpty {
                // Everybody fell behind.
                groups[group.id] = nil
            } else if !publication.frames.isEmpty {
                markDirty(group)
            }
        }
    }

    /// The group is no more; its sockets hear why.
    package func end(_ id: GroupID, _ reason: GroupEnd) {
        guard let group = groups[id] else { return }
        for member in group.members.reversed() { member.outlet.end(group, reason) }
        groups[id] = nil
    }

    /// Seats a socket that has been sent the state of `base`; what is published from now on follows it without a gap.
    package func join(_ id: GroupID, _ outlet: Outlet, head: Cursor, base: Cursor, needsVariant: Bool) {
        let group = groups[id] ?? HubGroup(id: id, head: head)
        groups[id] = group
        outlet.join(group, base: base, needsVariant: needsVariant)
    }

    package func group(_ id: GroupID) -> HubGroup? { groups[id] }

    package func leave(_ id: GroupID, _ outlet: Outlet) {
        guard let group = groups[id] else { return }
        outlet.leave(group)
        released(group)
    }

    /// Frees all seats of a closed socket.
    package func leaveAll(_ outlet: Outlet) {
        let left = outlet.seats.map(\.group)
        outlet.closed()
        outlet.releaseSeats()
        for group in left { released(group) }
    }

    private func released(_ group: HubGroup) {
        if group.members.isEmpty {
            groups[group.id] = nil
        } else if !group.log.isEmpty {
            // It may have been the one for whom the log was kept.
            markDirty(group)
        }
    }

    package func markDirty(_ group: HubGroup) {
        group.restartPass()
        guard !group.isDirty else { return }
        group.isDirty = true
        dirty.append(group)
        requestTurn()
    }

    // MARK: Sweep

    /// One turn's share of the work; true while some is left.
    package func sweep() -> Bool {
        var budget = Self.sendsPerTurn
        var looks = 4 * Self.sendsPerTurn
        while budget > 0, looks > 0, let group = dirty.popFirst() {
            let share = max(16, budget / (dirty.count + 1))
            let sends = group.sweep(atMost: min(share, budget))
            budget -= sends
            looks -= max(1, sends)
            if sends > 0, let newest = group.log.newest, newest.committedAt > 0 {
                metrics.delivery(milliseconds: wallClock() - newest.committedAt)
            }
            if group.hasWork {
                dirty.append(group)
            } else {
                group.isDirty = false
                group.trim()
            }
        }
        return !dirty.isEmpty
    }

    package func delivered(_ group: HubGroup, from: Int, to: Int) {
        if lastDelivery.group != group.id || lastDelivery.from != from || lastDelivery.to != to {
            lastDelivery = Delivery(group: group.id, from: from, to: to, changes: group.log.changes(from: from, to: to))
        }
        deliveries += lastDelivery.changes
    }

    package func delivered(changes: Int) {
        deliveries += changes
    }

    /// Hands the counts on; called by the loop's slow timer, not for each send.
    package func flushCounts() {
        guard deliveries > 0 else { return }
        metrics.delivered(deliveries)
        deliveries = 0
    }
}
