// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Metrics
import Notifier
import Store

// After a commit: the mutation's changes go to Redis, then its outbox row goes. Requests only put them into a bounded queue and answer;
// one task publishes what waits, another removes the rows of what was published, so that no publish waits for a disk flush.
// Owner: `APIService.run()`. Must hold: a row is removed only after Redis has taken its messages; nothing here delays or fails an
// answer; whatever is not done (Redis away, queue full, process killed) is left to the outbox relay, and twice is harmless.

/// Tells the gateways, and this process's long polls, what was committed.
final class Announcer: Sendable {
    private enum Item {
        case changes(Announcement, [Change])
        case control(ControlMessage)
    }

    private let store: ConfigurationStore
    private let publisher: ChangePublisher
    private let bell: ChangeBell
    private let metrics: APIMetrics
    private let logger: Logger
    /// Waiting for Redis.
    private let committed: AnnouncementQueue<Item>
    /// Waiting to be removed from the outbox.
    private let published: AnnouncementQueue<Announcement>

    init(
        store: ConfigurationStore,
        publisher: ChangePublisher,
        bell: ChangeBell,
        limit: Int,
        metrics: APIMetrics,
        logger: Logger
    ) {
        self.store = store
        self.publisher = publisher
        self.bell = bell
        self.metrics = metrics
        self.logger = logger
        committed = AnnouncementQueue(limit: limit)
        published = AnnouncementQueue(limit: limit)
    }

    /// For routes, right after the commit. A no-op has nothing to announce.
    func committed(_ outcome: MutationOutcome, in environmentID: UUID) {
        guard let first = outcome.first, let last = outcome.last else { return }
        // Long polls of this very process need no detour over Redis.
        bell.ring(environmentID)
        let announcement = Announcement(environmentID: environmentID, first: first, last: last)
        // About what the messages will have; the queue's limit is for safety, not for accounting.
        let bytes = outcome.changes.reduce(0) { $0 + 256 + $1.name.utf8.count + ($1.value?.text.utf8.count ?? 0) }
        append(.changes(announcement, outcome.changes), bytes: bytes)
    }

    /// Best effort: gateways also read the log of tokens, so a lost message costs seconds, not safety. `sequence` is the number in that log.
    func revoked(tokenID: String, sequence: Int64?) {
        append(.control(.tokenRevoked(tokenID: tokenID, sequence: sequence)), bytes: 256)
    }

    /// The same for other grants or another expiry.
    func changed(_ token: TokenRecord) {
        append(.control(.tokenChanged(tokenID: token.id, sequence: token.event > 0 ? token.event : nil)), bytes: 256)
    }

    /// Watchers learn of it from their gateways' next sweep at the latest.
    func deleted(environmentID: UUID) {
        bell.ring(environmentID)
        append(.control(.environmentDeleted(environmentID: environmentID.lowercased)), bytes: 256)
    }

    /// Where Redis is known to be away nothing is kept: when it comes back, the relay reads the outbox anyway.
    private func append(_ item: Item, bytes: Int) {
        if !publisher.isConnected || !committed.append(item, bytes: bytes) {
            metrics.announcementsDropped.increment()
        }
        metrics.announcementQueueBytes.set(committed.bytes)
    }

    /// Until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.committed.drain { await self.publish($0) } }
            group.addTask { await self.published.drain { await self.remove($0) } }
        }
    }

    /// Everything that waits leaves in one write. While it is on its way the next items gather, so load makes the writes larger, not more.
    private func publish(_ items: [Item]) async {
        var announcements: [Announcement] = []
        var messages: [ChangeMessage] = []
        for item in items {
            switch item {
            case .changes(let announcement, let changes):
                announcements.append(announcement)
                messages += changes.map { ChangeMessage($0) }
            case .control(let message):
                do throws(NotifierError) {
                    try await publisher.publish(message)
                } catch {
                    failed(1, error)
                }
            }
        }
        metrics.announcementQueueBytes.set(committed.bytes)
        if messages.isEmpty { return }
        do throws(NotifierError) {
            try await publisher.publish(messages)
        } catch {
            failed(announcements.count, error)
            return
        }
        // A full queue leaves its rows to the relay, which then announces them once more.
        for announcement in announcements { _ = published.append(announcement, bytes: 64) }
    }

    private func remove(_ announcements: [Announcement]) async {
        do throws(StoreError) {
            try await store.removeAnnouncements(announcements)
        } catch {
            // The relay will publish these once more; feeds know a duplicate when they see one.
            logger.debug("outbox rows not removed", metadata: [LogKey.error: .string("\(error)")])
        }
    }

    /// Facts are logged where Redis is watched; here they are counted.
    private func failed(_ count: Int, _ error: NotifierError) {
        metrics.announcementsDropped.increment(by: count)
        logger.debug(
            "announcements left to the relay",
            metadata: [LogKey.dropped: .stringConvertible(count), LogKey.error: .string("\(error)")]
        )
    }
}
