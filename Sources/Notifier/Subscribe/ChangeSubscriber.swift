// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Logging
import Metrics
package import Reactor

// From Redis to a gateway's feeds.
// Flows through: published messages, checked and decoded, handed on once per wake-up of the connection with everything that came in it.
// Owner: the feed loop; the subscriber, its link and its receiver are confined to it.
// Must hold: a lost connection is always told, and `connected` is told only after the channels were confirmed; nothing is buffered between
//   wake-ups; no message stops the stream.

/// Listens on the two channels and comes back by itself; confined to its loop: make, start and stop it there.
package final class ChangeSubscriber {
    private let channels: NotifierChannels
    private let authenticator: MessageAuthenticator
    private let loop: Loop
    private let metrics: NotifierMetrics
    private let link: RedisLink
    private var received: (([SubscriberEvent]) -> Void)?
    /// Of this wake-up.
    private var events: [SubscriberEvent] = []

    /// `received` is called on the loop, never inside `start` or `stop`.
    package init(
        _ configuration: NotifierConfiguration,
        authenticator: MessageAuthenticator,
        on loop: Loop,
        metrics: NotifierMetrics,
        logger: Logger,
        received: @escaping ([SubscriberEvent]) -> Void
    ) {
        loop.assertCurrent()
        channels = configuration.channels
        self.authenticator = authenticator
        self.loop = loop
        self.metrics = metrics
        self.received = received
        link = RedisLink(
            configuration,
            purpose: .subscription([channels.changes, channels.control]),
            on: loop,
            metrics: metrics,
            logger: logger
        )
    }

    package var isConnected: Bool { link.ready != nil }

    package func start() {
        link.start(
            RedisLink.Events(
                opened: { [weak self] in self?.events.append(.connected) },
                lost: { [weak self] _ in self?.received?([.disconnected]) },
                message: { [weak self] channel, payload in self?.decode(channel, payload) },
                readEnded: { [weak self] in self?.flush() }
            )
        )
    }

    /// Nothing is received after this.
    package func stop() {
        received = nil
        link.stop()
        events = []
    }

    private func decode(_ channel: Span<UInt8>, _ payload: Span<UInt8>) {
        metrics.received.increment()
        if Self.isEqual(channel, channels.changes) {
            switch ChangeMessage.decode(payload, authenticator) {
            case .message(let message):
                events.append(.message(message))
            case .untrusted(let environmentID):
                metrics.untrusted.increment()
                events.append(.untrusted(environmentID: environmentID))
            }
        } else if let (message, isTrusted) = ControlMessage.decode(payload, authenticator) {
            if !isTrusted { metrics.untrusted.increment() }
            events.append(.control(message, isTrusted: isTrusted))
        } else {
            // Whatever it meant to say, the regular sweeps find out.
            metrics.untrusted.increment()
        }
    }

    private func flush() {
        guard !events.isEmpty else { return }
        let batch = events
        events.removeAll(keepingCapacity: true)
        received?(batch)
    }

    private static func isEqual(_ bytes: Span<UInt8>, _ text: String) -> Bool {
        bytes.withUnsafeBufferPointer { $0.elementsEqual(text.utf8) }
    }
}
