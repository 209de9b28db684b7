// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Metrics
package import Reactor
import Wire

// From a committed transaction to Redis, and again for those whose process died in between.
// Flows through: whole transactions in; encoded messages out, all that wait in one write and in the order of their revisions.
// Owner: the publisher is an actor on its client's loop; the relay runs in its caller's task.
// Must hold: a failure is told to the caller, whose outbox row then stays; a message may be published twice, never a row removed before.

/// Publishes messages on the two channels; an actor on its client's loop.
package actor ChangePublisher {
    private struct Item {
        let revision: Int64
        let channel: String
        let text: [UInt8]
    }

    package nonisolated let client: RedisClient
    private let authenticator: MessageAuthenticator
    private nonisolated let channels: NotifierChannels
    private nonisolated let metrics: NotifierMetrics
    /// Bounded by the client's budget, from which every caller has taken.
    private var items: [Item] = []
    private var callers: [CheckedContinuation<Result<Void, NotifierError>, Never>] = []

    package init(_ client: RedisClient, authenticator: MessageAuthenticator, metrics: NotifierMetrics) {
        self.client = client
        self.authenticator = authenticator
        channels = client.configuration.channels
        self.metrics = metrics
    }

    package nonisolated var loop: Loop { client.loop }
    package nonisolated var unownedExecutor: UnownedSerialExecutor { client.loop.asUnownedSerialExecutor() }

    package nonisolated var isConnected: Bool { client.isConnected }

    /// Announces whole transactions, and returns when Redis has them all.
    ///
    /// - Throws: `redis_away` and the like, and then some may have been published and some not: announce all of them again.
    package nonisolated func publish(_ messages: [ChangeMessage]) async throws(NotifierError) {
        guard !messages.isEmpty else { return }
        guard isConnected else { throw failed(messages.count, .away(client.lastFailure)) }
        // Encoded here, on the caller's thread: the loop only writes.
        let items = TransactionSizing.announcements(of: messages).map {
            Item(revision: $0.revision, channel: channels.changes, text: $0.encoded(authenticator))
        }
        try await publish(items)
    }

    package nonisolated func publish(_ message: ControlMessage) async throws(NotifierError) {
        try await publish([Item(revision: 0, channel: channels.control, text: message.encoded(authenticator))])
    }

    private nonisolated func publish(_ items: [Item]) async throws(NotifierError) {
        let size = items.reduce(0) { $0 + $1.text.count + 64 }
        do throws(NotifierError) {
            try client.budget.take(size)
        } catch {
            throw failed(items.count, error)
        }
        defer { client.budget.giveBack(size) }
        switch await perform(items) {
        case .success: metrics.published.increment(by: items.count)
        case .failure(let error): throw failed(items.count, error)
        }
    }

    private nonisolated func failed(_ count: Int, _ error: NotifierError) -> NotifierError {
        metrics.publishFailures.increment(by: count)
        return error
    }

    private func perform(_ items: [Item]) async -> Result<Void, NotifierError> {
        await withCheckedContinuation { continuation in
            callers.append(continuation)
            self.items += items
            // At the end of the turn everything that has come together leaves in one write.
            if callers.count == 1 { loop.defer { self.assumeIsolated { $0.flush() } } }
        }
    }

    private func flush() {
        let callers = callers
        var items = items
        self.callers = []
        self.items = []
        // Callers of one environment race here after their commit; feeds then wait for nothing that is already in this turn.
        items.sort { $0.revision < $1.revision }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(items.reduce(0) { $0 + $1.text.count + 64 })
        for item in items { RESPCommand.append([Self.command, [UInt8](item.channel.utf8), item.text], to: &bytes) }
        let count = items.count
        client.assumeIsolated { [bytes] client in
            client.write(bytes, count: count) { result in
                let outcome = result.flatMap(Self.outcome)
                for caller in callers { caller.resume(returning: outcome) }
            }
        }
    }

    private static let command = [UInt8]("PUBLISH".utf8)

    /// One refused message fails all of the write: a repeated announcement is harmless, a lost one waits for a sweep.
    private static func outcome(_ replies: [RESPValue]) -> Result<Void, NotifierError> {
        for case .error(let text) in replies { return .failure(.reply(text, to: "PUBLISH")) }
        return .success(())
    }
}
