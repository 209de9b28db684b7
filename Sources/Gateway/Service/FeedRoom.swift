// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Notifier
import Reactor

/// What the feed loop owns: the feeds, the tokens, the subscription, and their beat. Confined to the feed loop.
final class FeedRoom {
    let feeds: FeedDirectory
    let tokens: TokenDirectory
    private let loop: Loop
    private let status: GatewayStatus
    private let sweepInterval: UInt64
    private var orders: InstanceOrderDesk
    private let logger: Logger
    /// An operator wants this instance to drain, or to serve again.
    private let asked: (Bool) -> Void
    private var subscriber: ChangeSubscriber?
    private var beatTimer: LoopTimer?
    private var tokensSweptAt: UInt64 = 0

    init(
        loop: Loop,
        configuration: GatewayConfiguration,
        source: any ConfigurationSource,
        queue: SourceQueue,
        status: GatewayStatus,
        sockets: SocketLoops,
        metrics: GatewayMetrics,
        logger: Logger,
        asked: @escaping (Bool) -> Void
    ) {
        self.loop = loop
        self.status = status
        self.asked = asked
        self.logger = logger
        orders = InstanceOrderDesk(role: .gateway, name: configuration.name)
        // A beat less, because a sweep may come a beat late.
        sweepInterval = max(configuration.sweepInterval - configuration.sweepIntervalWithoutRedis, .zero).wholeMilliseconds
        var timing = FeedDirectory.Timing()
        timing.sweep = sweepInterval
        timing.linger = configuration.feedLinger.wholeMilliseconds
        feeds = FeedDirectory(
            loop: loop,
            source: source,
            queue: queue,
            timing: timing,
            loops: sockets.count,
            metrics: metrics,
            logger: logger,
            post: { index, delivery in sockets.post(index) { $0.deliver(delivery) } }
        )
        tokens = TokenDirectory(
            loop: loop,
            source: source,
            queue: queue,
            logger: logger,
            tell: { notice in
                for index in 0..<sockets.count { sockets.post(index) { $0.tokenNoticed(notice) } }
            }
        )
        beatTimer = loop.every(configuration.sweepIntervalWithoutRedis) { [weak self] in self?.beat() }
    }

    func subscribe(_ doorbell: Doorbell, logger: Logger) {
        let subscriber = ChangeSubscriber(
            doorbell.configuration,
            authenticator: doorbell.authenticator,
            on: loop,
            metrics: doorbell.metrics,
            logger: logger
        ) { [weak self] events in self?.received(events) }
        self.subscriber = subscriber
        subscriber.start()
    }

    func stop() {
        subscriber?.stop()
        subscriber = nil
        beatTimer?.cancel()
        beatTimer = nil
    }

    private func received(_ events: [SubscriberEvent]) {
        for event in events {
            switch event {
            case .connected:
                status.redisChanged(isConnected: true)
                // A revocation may have been missed like a change.
                sweepTokens()
            case .disconnected:
                status.redisChanged(isConnected: false)
            case .control(.tokenRevoked(let id, let sequence), let isTrusted):
                tokens.revocationAnnounced(id, sequence: sequence, isTrusted: isTrusted)
            case .control(.tokenChanged(let id, let sequence), let isTrusted):
                tokens.changeAnnounced(id, sequence: sequence, isTrusted: isTrusted)
            case .control(.instanceDrain(let order), let isTrusted):
                if takes(order, isTrusted: isTrusted) { asked(true) }
            case .control(.instanceReady(let order), let isTrusted):
                if takes(order, isTrusted: isTrusted) { asked(false) }
            case .message, .untrusted, .control(.environmentDeleted, _):
                break
            }
        }
        feeds.received(events)
    }

    private func takes(_ order: InstanceOrder, isTrusted: Bool) -> Bool {
        switch orders.decide(order, isTrusted: isTrusted) {
        case .taken: return true
        case .ignored: return false
        case .untimely:
            logger.warning("An order to drain or to serve again was refused: it is not of this moment")
            return false
        }
    }

    private func beat() {
        feeds.beat()
        if feeds.isRedisAway || loop.milliseconds >= tokensSweptAt + sweepInterval { sweepTokens() }
    }

    private func sweepTokens() {
        tokensSweptAt = loop.milliseconds
        tokens.sweep()
    }
}
