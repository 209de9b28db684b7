// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Metrics
import Reactor

/// Keeps one connection to Redis for as long as it is started: a lost one is replaced, with backoff, for ever. Confined to its loop.
final class RedisLink {
    struct Events {
        /// Ready for use. What was published meanwhile is lost.
        var opened: () -> Void
        /// An opened connection was lost.
        var lost: (NotifierError) -> Void
        var message: (_ channel: Span<UInt8>, _ payload: Span<UInt8>) -> Void = { _, _ in }
        var readEnded: () -> Void = {}
        /// Any attempt failed, the first one too.
        var failed: (NotifierError) -> Void = { _ in }
    }

    private let configuration: NotifierConfiguration
    private let purpose: RedisPurpose
    private let loop: Loop
    private let metrics: NotifierMetrics
    private let logger: Logger
    private var events: Events?
    private var connection: RedisConnection?
    private var backoff = ReconnectBackoff()
    private var retry: LoopTimer?
    private var isOpen = false
    private var wasOpened = false
    private var lastLogged: NotifierError.Code?

    init(_ configuration: NotifierConfiguration, purpose: RedisPurpose, on loop: Loop, metrics: NotifierMetrics, logger: Logger) {
        self.configuration = configuration
        self.purpose = purpose
        self.loop = loop
        self.metrics = metrics
        var logger = logger
        logger[metadataKey: NotifierLogKey.redis] = "\(configuration.endpoint)"
        logger[metadataKey: NotifierLogKey.connection] = "\(purpose.label)"
        self.logger = logger
    }

    /// The connection, while it is ready.
    var ready: RedisConnection? {
        guard let connection, connection.isReady else { return nil }
        return connection
    }

    func start(_ events: Events) {
        loop.assertCurrent()
        precondition(self.events == nil, "started twice")
        self.events = events
        connect()
    }

    /// No event follows; what waits for an answer fails.
    func stop() {
        loop.assertCurrent()
        events = nil
        retry?.cancel()
        retry = nil
        connection?.close(NotifierError(.away, "this process is leaving Redis"))
        connection = nil
        metrics.connected(purpose).set(0)
    }

    private func connect() {
        guard let events else { return }
        // Weak: the connection outlives a stopped link by the rest of its turn.
        let connection = RedisConnection(
            configuration,
            purpose: purpose,
            on: loop,
            events: .init(
                opened: { [weak self] in self?.opened() },
                closed: { [weak self] in self?.closed($0) },
                message: events.message,
                readEnded: events.readEnded
            )
        )
        self.connection = connection
        connection.start()
    }

    private func opened() {
        guard let events else { return }
        backoff.connected()
        lastLogged = nil
        if wasOpened { metrics.reconnects(purpose).increment() }
        wasOpened = true
        metrics.connected(purpose).set(1)
        logger.info("connected to Redis")
        isOpen = true
        events.opened()
    }

    private func closed(_ error: NotifierError) {
        guard let events else { return }
        connection = nil
        metrics.connected(purpose).set(0)
        // A line per kind of failure, not per attempt: the attempts go on for as long as Redis is away.
        if error.code != lastLogged {
            lastLogged = error.code
            logger.warning("Redis is away", metadata: error.logMetadata)
        }
        let delay = backoff.failed(random: Double.random(in: 0..<1))
        retry = loop.after(delay) { [weak self] in self?.connect() }
        events.failed(error)
        if isOpen {
            isOpen = false
            events.lost(error)
        }
    }
}
