// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// An environment's whole configuration, now and after each change, for one consumer at a time.
public struct ConfigurationSequence: AsyncSequence, Sendable {
    /// What the sequence gives.
    public typealias Element = EnvironmentConfiguration
    /// What it ends with when trying again is of no use.
    public typealias Failure = ClientError

    private let events: WatchSequence
    private let known: EnvironmentConfiguration?
    private let cache: BoundCache?
    private let onInterruption: @Sendable (WatchInterruption) -> Void

    init(
        events: WatchSequence,
        known: EnvironmentConfiguration?,
        cache: BoundCache?,
        onInterruption: @escaping @Sendable (WatchInterruption) -> Void
    ) {
        self.events = events
        self.known = known
        self.cache = cache
        self.onInterruption = onInterruption
    }

    /// Tells the service that a revision is in use, or that it can't be. Only a watch made with `acknowledges` does so.
    public func acknowledge(_ revision: Int, as status: AcknowledgementStatus) {
        events.acknowledge(revision, as: status)
    }

    /// Returns once what was acknowledged has been handed to the network: for a process that is about to exit.
    public func flush() async {
        await events.flush()
    }

    /// The sequence's iterator.
    public func makeAsyncIterator() -> Iterator {
        Iterator(events: events.makeAsyncIterator(), current: known, cache: cache, onInterruption: onInterruption)
    }

    /// Keeps the configuration up to date.
    public struct Iterator: AsyncIteratorProtocol {
        private var events: WatchSequence.Iterator
        private var current: EnvironmentConfiguration?
        private let cache: BoundCache?
        private let onInterruption: @Sendable (WatchInterruption) -> Void
        private var hasYielded = false

        fileprivate init(
            events: WatchSequence.Iterator,
            current: EnvironmentConfiguration?,
            cache: BoundCache?,
            onInterruption: @escaping @Sendable (WatchInterruption) -> Void
        ) {
            self.events = events
            self.current = current
            self.cache = cache
            self.onInterruption = onInterruption
        }

        /// The configuration after the next change; nil after the task was cancelled.
        public mutating func next() async throws(ClientError) -> EnvironmentConfiguration? {
            try await next(isolation: nil)
        }

        /// The configuration after the next change; nil after the task was cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(ClientError) -> EnvironmentConfiguration? {
            while let event = try await events.next(isolation: actor) {
                switch event {
                case .connected:
                    continue
                case .disconnected(let interruption):
                    onInterruption(interruption)
                    // Later than this the consumer has something newer.
                    guard !hasYielded, let cached = cache?.load() else { continue }
                    hasYielded = true
                    return cached
                case .snapshot(let snapshot):
                    current = EnvironmentConfiguration(snapshot)
                case .changes(let changes):
                    current?.apply(changes)
                    // After a reconnect that missed nothing the consumer has this state already.
                    if changes.changes.isEmpty, hasYielded { continue }
                }
                if let current {
                    hasYielded = true
                    cache?.save(current)
                    return current
                }
            }
            return nil
        }
    }
}
