// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The events of one environment, for one consumer at a time.
///
/// It is bounded: when the consumer is slow, events are merged into the newest state, and nothing is skipped that the state doesn't show.
public final class WatchSequence: AsyncSequence, Sendable {
    /// What the sequence gives.
    public typealias Element = WatchEvent
    /// What it ends with when trying again is of no use.
    public typealias Failure = ClientError

    private let session: WatchSession

    init(session: WatchSession) {
        self.session = session
    }

    deinit {
        session.stop()
    }

    /// Tells the service that a revision is in use, or that it can't be. Only a watch made with `acknowledges` does so.
    ///
    /// The last acknowledgement is repeated on a new connection.
    public func acknowledge(_ revision: Int, as status: AcknowledgementStatus) {
        session.acknowledge(revision, as: status)
    }

    /// Returns once what was acknowledged has been handed to the network: for a process that is about to exit.
    public func flush() async {
        await session.flush()
    }

    /// Ends the sequence; a consumer that waits gets nil.
    public func stop() {
        session.stop()
    }

    /// The sequence's iterator. All iterators of a sequence share its events.
    public func makeAsyncIterator() -> Iterator {
        Iterator(sequence: self)
    }

    /// Waits for events.
    public struct Iterator: AsyncIteratorProtocol {
        // The iterator keeps the sequence, whose last reference ends the session.
        private let sequence: WatchSequence

        fileprivate init(sequence: WatchSequence) {
            self.sequence = sequence
        }

        /// The next event; nil after the task was cancelled or the watch was stopped.
        public mutating func next() async throws(ClientError) -> WatchEvent? {
            try await next(isolation: nil)
        }

        /// The next event; nil after the task was cancelled or the watch was stopped.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(ClientError) -> WatchEvent? {
            try await sequence.session.next().get()
        }
    }
}
