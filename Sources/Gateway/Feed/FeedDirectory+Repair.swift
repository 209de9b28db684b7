// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor
import Store

extension FeedDirectory {
    /// Rows of one environment in one read of gaps; what is more comes with the next.
    private static let gapLimit = 1_000
    private static let retryDelay: UInt64 = 500
    /// Messages that prove nothing cannot make PostgreSQL compare more often than this.
    private static let comparePause: UInt64 = 20

    private struct Place: Sendable {
        let feed: LoopBound<Feed>
        let probe: HeadProbe
        let cursor: Cursor
        let generation: Int
    }

    private func place(of feed: Feed) -> Place {
        let cursor = feed.machine.head
        return Place(
            feed: LoopBound(feed, loop: loop),
            probe: HeadProbe(id: feed.id, revision: cursor.revision),
            cursor: cursor,
            generation: feed.machine.generation
        )
    }

    // MARK: Gaps

    /// One read for every feed whose wait is over; the others get a timer.
    func repairGaps() {
        guard !isRepairing, !gaps.isEmpty else { return }
        let due = gaps.values.filter { feed in feed.machine.gapDue.map { $0 <= now } ?? false }
        guard !due.isEmpty else {
            waitForGaps()
            return
        }
        isRepairing = true
        metrics.gapsRead(due.count)
        for feed in due {
            feed.machine.gapReadStarted()
            gaps[ObjectIdentifier(feed)] = nil
        }
        let places = due.map(place)
        let own = LoopBound(self, loop: loop)
        let source = source
        let isTaken = queue.submit {
            let result: Result<[ChangesPage], StoreError>
            do throws(StoreError) {
                result = .success(try await source.changes(since: places.map(\.probe), limit: Self.gapLimit))
            } catch {
                result = .failure(error)
            }
            own.loop.post { own.value.gapsRead(places, result) }
        }
        if !isTaken { gapsRead(places, .failure(StoreError(.unavailable, "too many reads are waiting"))) }
    }

    private func waitForGaps() {
        guard gapTimer == nil, let next = gaps.values.compactMap(\.machine.gapDue).min() else { return }
        gapTimer = loop.after(.milliseconds(Int64(max(1, next - min(next, now))))) { [weak self] in
            self?.gapTimer = nil
            self?.repairGaps()
        }
    }

    private func gapsRead(_ places: [Place], _ result: Result<[ChangesPage], StoreError>) {
        isRepairing = false
        switch result {
        case .success(let pages):
            let byID = Dictionary(pages.map { ($0.environmentID, $0) }) { first, _ in first }
            for place in places {
                let feed = place.feed.value
                if let page = byID[feed.id] {
                    perform(feed.machine.gapRead(page, asked: place.cursor, generation: place.generation, at: now), for: feed)
                } else {
                    perform(feed.machine.deleted(), for: feed)
                }
            }
        case .failure(let error):
            logger.warning("Missing changes cannot be read, trying again", metadata: ["feeds": "\(places.count)", "error": "\(error)"])
            for place in places {
                let feed = place.feed.value
                feed.machine.gapReadFailed(retryAt: now + Self.retryDelay)
                perform(.none, for: feed)
                refuseWaiting(of: feed, .unavailable)
            }
        }
        settle()
    }

    // MARK: Comparison

    /// Compares heads and marks: of the suspects, or of everybody when a sweep is due. One question at a time.
    func compareHeads() {
        guard !isComparing, isSweepDue || !suspects.isEmpty else { return }
        let compared = isSweepDue ? Array(feeds.values) : Array(suspects.values)
        isSweepDue = false
        suspects = [:]
        let live = compared.filter(\.machine.isLive)
        guard !live.isEmpty else { return }
        isComparing = true
        for feed in live { feed.isCompared = true }
        let places = live.map(place)
        let own = LoopBound(self, loop: loop)
        let source = source
        let isTaken = queue.submit {
            let result: Result<[Head], StoreError>
            do throws(StoreError) {
                result = .success(try await source.heads(places.map(\.probe)))
            } catch {
                result = .failure(error)
            }
            own.loop.post { own.value.headsCompared(places, result) }
        }
        if !isTaken { headsCompared(places, .failure(StoreError(.unavailable, "too many reads are waiting"))) }
    }

    private func headsCompared(_ places: [Place], _ result: Result<[Head], StoreError>) {
        for place in places { place.feed.value.isCompared = false }
        switch result {
        case .success(let heads):
            let byID = Dictionary(heads.map { ($0.id, $0) }) { first, _ in first }
            for place in places {
                let feed = place.feed.value
                if let head = byID[feed.id] {
                    perform(feed.machine.compared(head, asked: place.cursor, generation: place.generation, at: now), for: feed)
                } else {
                    perform(feed.machine.deleted(), for: feed)
                }
            }
        case .failure(let error):
            logger.warning("Heads cannot be compared", metadata: ["feeds": "\(places.count)", "error": "\(error)"])
            for place in places { refuseWaiting(of: place.feed.value, .unavailable) }
        }
        loop.after(.milliseconds(Int64(Self.comparePause))) { [weak self] in
            self?.isComparing = false
            self?.settle()
        }
        settle()
    }

    /// Called every beat.
    func beat() {
        if isRedisAway || now >= sweptAt + timing.sweep { sweep() }
        retryReloads()
        expire()
        settle()
    }

    /// Everybody's head is compared as soon as the question under way is answered.
    func sweep() {
        sweptAt = now
        isSweepDue = true
    }
}
