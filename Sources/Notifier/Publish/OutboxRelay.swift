// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Logging
import Metrics

/// Publishes what a dead or disconnected publisher left in the outbox. Every API runs one; they need no leader.
package final class OutboxRelay: Sendable {
    /// Younger rows belong to a publisher that is still at it.
    static let age = Duration.milliseconds(300)
    /// With `age`, the time of a poll and the publishing it stays under the second that is promised.
    static let interval = Duration.milliseconds(500)
    static let limit = 256
    /// More transactions of one environment than this become one range, and a range of many revisions is announced by its head alone: every
    /// feed then reads once, not for each.
    static let mostTransactions = 8
    /// Values held at a time; one announcement may exceed it.
    static let mostBytes = 1024 * 1024
    /// Polls without Redis from one collapse of the outbox to the next: five seconds.
    static let pollsPerCollapse = 10

    /// Announcements that are published as one range, and removed one by one.
    package struct Group: Hashable, Sendable {
        package let range: OutboxAnnouncement
        package let rows: [OutboxAnnouncement]
    }

    private let source: any OutboxSource
    private let publisher: ChangePublisher
    private let metrics: NotifierMetrics
    private let logger: Logger
    private let wakeups: Wakeups

    package init(source: any OutboxSource, publisher: ChangePublisher, metrics: NotifierMetrics, logger: Logger) {
        self.source = source
        self.publisher = publisher
        self.metrics = metrics
        self.logger = logger
        wakeups = Wakeups(every: Self.interval, on: publisher.loop)
        publisher.client.whenConnected { [wakeups] in wakeups.poke() }
    }

    /// Relays until the task is cancelled. To end before the publisher's client does.
    package func run() async {
        var wasFailing = false
        var pollsAway = 0
        await wakeups.forEach {
            do {
                if publisher.isConnected {
                    pollsAway = 0
                    try await relay()
                } else {
                    pollsAway += 1
                    if pollsAway.isMultiple(of: Self.pollsPerCollapse) { try await source.collapse() }
                }
                wasFailing = false
            } catch {
                // A line per outage: the next poll tries again.
                if !wasFailing { logger.warning("outbox not relayed", metadata: [NotifierLogKey.reason: "\(error)"]) }
                wasFailing = true
            }
        }
    }

    private func relay() async throws {
        // Until nothing is left, or Redis is away: then the rows are safe where they are.
        while publisher.isConnected, !Task.isCancelled {
            let pending = try await source.pending(olderThan: Self.age, limit: Self.limit)
            guard !pending.isEmpty else { return }
            var batch = Batch()
            for group in Self.groups(pending) {
                batch.add(group, try await messages(of: group.range))
                if batch.bytes > Self.mostBytes { try await publish(&batch) }
            }
            try await publish(&batch)
            guard pending.count == Self.limit else { return }
        }
    }

    /// What is published in one write and then forgotten in one call.
    private struct Batch {
        var rows: [OutboxAnnouncement] = []
        var messages: [ChangeMessage] = []
        var bytes = 0

        mutating func add(_ group: Group, _ messages: [ChangeMessage]) {
            rows += group.rows
            self.messages += messages
            bytes += messages.reduce(0) { $0 + $1.name.utf8.count + ($1.value?.utf8.count ?? 0) }
        }
    }

    private func publish(_ batch: inout Batch) async throws {
        guard !batch.rows.isEmpty else { return }
        try await publisher.publish(batch.messages)
        try await source.remove(batch.rows)
        metrics.relayed.increment(by: batch.rows.count)
        // Seldom: it means that a publisher died, or that Redis was away.
        logger.info("announcements relayed", metadata: [NotifierLogKey.announcements: "\(batch.rows.count)"])
        batch = Batch()
    }

    /// The announcements in their order, but those of an environment with many as one group, at the place of its first.
    package static func groups(_ pending: [OutboxAnnouncement]) -> [Group] {
        let byEnvironment = Dictionary(grouping: pending, by: \.environmentID)
        var isDone: Set<String> = []
        var groups: [Group] = []
        for announcement in pending where !isDone.contains(announcement.environmentID) {
            let all = byEnvironment[announcement.environmentID, default: []]
            guard all.count > mostTransactions else {
                groups.append(Group(range: announcement, rows: [announcement]))
                continue
            }
            isDone.insert(announcement.environmentID)
            let range = OutboxAnnouncement(
                environmentID: announcement.environmentID,
                first: all.reduce(announcement.first) { min($0, $1.first) },
                last: all.reduce(announcement.last) { max($0, $1.last) }
            )
            groups.append(Group(range: range, rows: all))
        }
        return groups
    }

    private func messages(of announcement: OutboxAnnouncement) async throws -> [ChangeMessage] {
        guard TransactionSizing.isBulk(first: announcement.first, last: announcement.last) else {
            return try await source.changes(of: announcement)
        }
        let head = OutboxAnnouncement(environmentID: announcement.environmentID, first: announcement.last, last: announcement.last)
        return try await source.changes(of: head).last.map { [TransactionSizing.bulk($0, first: announcement.first)] } ?? []
    }
}
