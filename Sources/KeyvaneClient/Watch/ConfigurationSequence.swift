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

    init(events: WatchSequence, known: EnvironmentConfiguration?) {
        self.events = events
        self.known = known
    }

    /// The sequence's iterator.
    public func makeAsyncIterator() -> Iterator {
        Iterator(events: events.makeAsyncIterator(), current: known)
    }

    /// Keeps the configuration up to date.
    public struct Iterator: AsyncIteratorProtocol {
        private var events: WatchSequence.Iterator
        private var current: EnvironmentConfiguration?
        private var hasYielded = false

        fileprivate init(events: WatchSequence.Iterator, current: EnvironmentConfiguration?) {
            self.events = events
            self.current = current
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
                case .connected, .disconnected:
                    continue
                case .snapshot(let snapshot):
                    current = EnvironmentConfiguration(snapshot)
                case .changes(let changes):
                    current?.apply(changes)
                    // After a reconnect that missed nothing the consumer has this state already.
                    if changes.changes.isEmpty, hasYielded { continue }
                }
                if let current {
                    hasYielded = true
                    return current
                }
            }
            return nil
        }
    }
}
