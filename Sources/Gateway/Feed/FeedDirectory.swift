// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor
import Store
import Wire

/// What the feed loop posts to one loop after an event.
struct HubDelivery: Sendable {
    var publications: [Publication] = []
    var ended: [(GroupID, GroupEnd)] = []

    var isEmpty: Bool { publications.isEmpty && ended.isEmpty }
}

/// All feeds of this gateway: what arrives from Redis and PostgreSQL goes in, publications for the loops go out. Confined to the feed loop.
final class FeedDirectory {
    struct Timing {
        /// Heads are compared this often while Redis rings; while it doesn't, at every beat.
        var sweep: UInt64 = 5_000
        /// A feed that nobody watches stays for those who come back.
        var linger: UInt64 = 30_000
    }

    enum Waiter {
        case attach(AttachRequest)
        /// Somebody wants to know that the environment exists before he is let in.
        case look((AttachRefusal?) -> Void)
    }

    let loop: Loop
    let source: any ConfigurationSource
    let queue: SourceQueue
    let timing: Timing
    let metrics: GatewayMetrics
    let logger: Logger
    /// Posts to a loop by its index.
    private let post: (Int, HubDelivery) -> Void
    private let loops: Int
    /// The fastest: a large snapshot is compressed between two events of this loop.
    private let deflater = Deflater(level: 1)

    private(set) var feeds: [String: Feed] = [:]
    private var byPath: [EnvironmentPath: Feed] = [:]
    private var byGroup: [GroupID: (feed: Feed, group: FeedGroup)] = [:]
    private var loading: [EnvironmentPath: [Waiter]] = [:]
    /// The newest revision announced for environments that nobody watches, while some feed is being loaded: it may be theirs.
    private var unclaimed: [String: Int64] = [:]
    private var lastGroup: GroupID = 0
    private var touched: [ObjectIdentifier: Feed] = [:]

    // Repair and comparison; see the extensions.
    var gaps: [ObjectIdentifier: Feed] = [:]
    var gapTimer: LoopTimer?
    var isRepairing = false
    var suspects: [ObjectIdentifier: Feed] = [:]
    var isSweepDue = false
    var isComparing = false
    var isRedisAway = true
    var sweptAt: UInt64 = 0

    init(
        loop: Loop,
        source: any ConfigurationSource,
        queue: SourceQueue,
        timing: Timing,
        loops: Int,
        metrics: GatewayMetrics,
        logger: Logger,
        post: @escaping (Int, HubDelivery) -> Void
    ) {
        self.loop = loop
        self.source = source
        self.queue = queue
        self.timing = timing
        self.loops = loops
        self.metrics = metrics
        self.logger = logger
        self.post = post
    }

    var now: UInt64 { loop.milliseconds }

    func feed(_ path: EnvironmentPath) -> Feed? { byPath[path] }

    // MARK: Loading

    /// Answers once the environment is known to exist, or not to.
    func look(_ path: EnvironmentPath, _ done: @escaping (AttachRefusal?) -> Void) {
        if byPath[path] != nil { done(nil) } else { load(path, for: .look(done)) }
    }

    func load(_ path: EnvironmentPath, for waiter: Waiter) {
        if loading[path] != nil {
            loading[path]?.append(waiter)
            return
        }
        loading[path] = [waiter]
        let own = LoopBound(self, loop: loop)
        let source = source
        let isTaken = queue.submit {
            let result: Result<LoadedEnvironment, StoreError>
            do throws(StoreError) {
                result = .success(try await source.load(path))
            } catch {
                result = .failure(error)
            }
            own.loop.post { own.value.loaded(path, result) }
        }
        if !isTaken { loaded(path, .failure(StoreError(.unavailable, "too many reads are waiting"))) }
    }

    private func loaded(_ path: EnvironmentPath, _ result: Result<LoadedEnvironment, StoreError>) {
        let waiters = loading.removeValue(forKey: path) ?? []
        switch result {
        case .success(let loaded):
            let feed = Feed(loaded, path: path, deflater: deflater)
            // The same path may have named another environment until now.
            if let old = byPath[path] { end(old) }
            feeds[feed.environment.id] = feed
            byPath[path] = feed
            feed.idleSince = now
            perform(feed.machine.loaded(loaded.content, later: loaded.later, at: now), for: feed)
            if let revision = unclaimed[feed.environment.id] { perform(feed.machine.announced(last: revision, at: now), for: feed) }
            for waiter in waiters {
                switch waiter {
                case .attach(let request): attach(request, to: feed)
                case .look(let done): done(nil)
                }
            }
        case .failure(let error):
            let refusal = refusal(for: error, reading: path)
            for waiter in waiters {
                switch waiter {
                case .attach(let request): request.answer(.refused(refusal))
                case .look(let done): done(refusal)
                }
            }
        }
        if loading.isEmpty { unclaimed = [:] }
        settle()
    }

    func refusal(for error: StoreError, reading path: EnvironmentPath) -> AttachRefusal {
        if error.code == .notFound { return .notFound }
        logger.warning(
            "An environment cannot be read",
            metadata: ["environment": "\(path)", "error": "\(error)"]
        )
        return .unavailable
    }

    func noteUnclaimed(_ id: String, _ revision: Int64) {
        // Bounded by what a load's time limit lets through; more than this is somebody's noise, and the sweep finds the rest.
        guard !loading.isEmpty, unclaimed.count < 10_000 else { return }
        unclaimed[id] = max(unclaimed[id] ?? 0, revision)
    }

    // MARK: Groups

    func group(of feed: Feed, _ key: FeedGroup.Key) -> FeedGroup {
        let group = feed.group(key, loops: loops) {
            lastGroup += 1
            return lastGroup
        }
        byGroup[group.id] = (feed, group)
        return group
    }

    /// Watchers left a group on a loop.
    func left(_ id: GroupID, on loop: Int) {
        // The group may have ended before its sockets could say so.
        guard let (feed, group) = byGroup[id] else { return }
        group.left(on: loop)
        release(group, of: feed)
    }

    func release(_ group: FeedGroup, of feed: Feed) {
        guard group.isEmpty else { return }
        byGroup[group.id] = nil
        feed.remove(group)
        if feed.groups.isEmpty { feed.idleSince = now }
    }

    private func dissolve(_ group: FeedGroup, of feed: Feed, _ reason: GroupEnd) {
        byGroup[group.id] = nil
        feed.remove(group)
        for loop in 0..<loops where group.seats[loop] > 0 {
            post(loop, HubDelivery(ended: [(group.id, reason)]))
        }
    }

    // MARK: After an event

    /// Notes what a feed's state machine asks for; `settle` at the end of the event does it.
    func perform(_ action: FeedAction, for feed: Feed) {
        touched[ObjectIdentifier(feed)] = feed
        switch action {
        case .none: break
        case .publish(let changes): feed.publish(changes)
        case .publishSnapshot: feed.publishSnapshot()
        case .verify: suspects[ObjectIdentifier(feed)] = feed
        case .reload: reload(feed)
        case .end: end(feed)
        }
    }

    private func reload(_ feed: Feed) {
        logger.notice("Another history, the snapshot is read again", metadata: ["environment": "\(feed.environment.text)"])
        feed.machine.reloadStarted()
        feed.needsReload = false
        let own = LoopBound((self, feed), loop: loop)
        let source = source
        let path = feed.environment.path
        let isTaken = queue.submit {
            let result: Result<LoadedEnvironment, StoreError>
            do throws(StoreError) {
                result = .success(try await source.load(path))
            } catch {
                result = .failure(error)
            }
            own.loop.post {
                let (directory, feed) = own.value
                directory.reloaded(feed, result)
            }
        }
        if !isTaken { feed.needsReload = true }
    }

    private func reloaded(_ feed: Feed, _ result: Result<LoadedEnvironment, StoreError>) {
        switch result {
        case .success(let loaded) where loaded.id == feed.id:
            perform(feed.machine.loaded(loaded.content, later: loaded.later, at: now), for: feed)
        case .success:
            // Deleted and made again under the same path.
            perform(feed.machine.deleted(), for: feed)
        case .failure(let error):
            if refusal(for: error, reading: feed.environment.path) == .notFound {
                perform(feed.machine.deleted(), for: feed)
            } else {
                feed.needsReload = true
                refuseWaiting(of: feed, .unavailable)
            }
        }
        settle()
    }

    func retryReloads() {
        for feed in feeds.values where feed.needsReload { reload(feed) }
    }

    private func end(_ feed: Feed) {
        _ = feed.machine.deleted()
        let id = ObjectIdentifier(feed)
        gaps[id] = nil
        suspects[id] = nil
        feeds[feed.environment.id] = nil
        if byPath[feed.environment.path] === feed { byPath[feed.environment.path] = nil }
        for group in feed.groups.values { dissolve(group, of: feed, .deleted) }
        refuseWaiting(of: feed, .notFound)
    }

    func refuseWaiting(of feed: Feed, _ refusal: AttachRefusal) {
        let waiting = feed.waiting
        feed.waiting = []
        for request in waiting { request.answer(.refused(refusal)) }
    }

    /// The end of every event: publications go out in one post a loop, then come those who waited, then what PostgreSQL must be asked.
    func settle() {
        let feeds = touched
        touched = [:]
        var deliveries = Array(repeating: HubDelivery(), count: loops)
        for feed in feeds.values where feed.hasUnpublished { encode(feed, into: &deliveries) }
        for (loop, delivery) in deliveries.enumerated() where !delivery.isEmpty { post(loop, delivery) }
        for (id, feed) in feeds {
            gaps[id] = feed.machine.gapDue == nil ? nil : feed
            answerWaiting(of: feed)
        }
        repairGaps()
        compareHeads()
    }

    private func encode(_ feed: Feed, into deliveries: inout [HubDelivery]) {
        var failed: [FeedGroup] = []
        let publications = feed.takePublications { group, error in
            failed.append(group)
            logger.error(
                "A secret cannot be opened, its watchers are sent away",
                metadata: ["environment": "\(feed.environment.text)", "error": "\(error)"]
            )
        }
        if !publications.isEmpty {
            logger.debug(
                "changes go to the watchers",
                metadata: [
                    GatewayLogKey.environment: .string(feed.environment.path.description),
                    GatewayLogKey.revision: .stringConvertible(feed.machine.head.revision),
                    GatewayLogKey.groups: .stringConvertible(publications.count),
                ]
            )
        }
        for (group, publication) in publications {
            for loop in 0..<loops where group.seats[loop] > 0 { deliveries[loop].publications.append(publication) }
        }
        for group in failed { dissolve(group, of: feed, .unreadable) }
    }

    /// Drops feeds that nobody came back to.
    func expire() {
        for feed in feeds.values {
            for group in feed.groups.values { group.forgetStarts(olderThan: timing.linger, at: now) }
            guard feed.groups.isEmpty, feed.waiting.isEmpty, feed.readingBack.isEmpty, let since = feed.idleSince,
                now >= since + timing.linger
            else { continue }
            end(feed)
        }
    }
}
