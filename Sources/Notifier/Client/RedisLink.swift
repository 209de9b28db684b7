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
    private var route: RedisRouteStateMachine
    private var connection: RedisConnection?
    /// A question to a sentinel, before there is a connection or about the one there is.
    private var query: SentinelQuery?
    /// To the next attempt, or to the next question about the master.
    private var timer: LoopTimer?
    private var isOpen = false
    private var wasOpened = false
    private var lastLogged: NotifierError.Code?

    init(_ configuration: NotifierConfiguration, purpose: RedisPurpose, on loop: Loop, metrics: NotifierMetrics, logger: Logger) {
        let endpoint = configuration.endpoint
        self.configuration = configuration
        self.purpose = purpose
        self.loop = loop
        self.metrics = metrics
        // Subscribers spread over the nodes of a cluster.
        let servers = endpoint.topology == .cluster ? endpoint.servers.shuffled() : endpoint.servers
        route = RedisRouteStateMachine(servers: servers, topology: endpoint.topology)
        var logger = logger
        logger[metadataKey: NotifierLogKey.redis] = "\(endpoint)"
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
        attempt()
    }

    /// No event follows; what waits for an answer fails.
    func stop() {
        loop.assertCurrent()
        events = nil
        timer?.cancel()
        timer = nil
        query?.cancel()
        query = nil
        connection?.close(NotifierError(.away, "this process is leaving Redis"))
        connection = nil
        metrics.connected(purpose).set(0)
    }

    // MARK: One attempt

    private func attempt() {
        guard events != nil else { return }
        follow(route.attemptDue())
    }

    private func follow(_ action: RedisRouteStateMachine.AttemptAction) {
        switch action {
        case .connect(let server): connect(to: server)
        case .ask(let sentinel): ask(sentinel) { [weak self] in self?.answered($0) }
        }
    }

    private func ask(_ sentinel: Endpoint, _ done: @escaping (Result<Endpoint, NotifierError>) -> Void) {
        guard case .sentinel(let master) = configuration.endpoint.topology else { return }
        let query = SentinelQuery(configuration, of: sentinel, master: master, on: loop, done: done)
        self.query = query
        query.start()
    }

    private func answered(_ result: Result<Endpoint, NotifierError>) {
        guard let events else { return }
        query = nil
        switch result {
        case .success(let master):
            follow(route.masterTold(master))
        case .failure(let error):
            switch route.sentinelFailed(random: Double.random(in: 0..<1)) {
            case .ask(let other):
                follow(.ask(other))
            case .retry(let delay):
                retry(after: delay, error)
                events.failed(error)
            }
        }
    }

    private func connect(to server: Endpoint) {
        guard let events else { return }
        // Weak: the connection outlives a stopped link by the rest of its turn.
        let connection = RedisConnection(
            configuration,
            to: server,
            greeting: RedisGreeting(configuration, purpose: purpose),
            purpose: purpose,
            on: loop,
            events: .init(
                opened: { [weak self] in self?.opened(server) },
                closed: { [weak self] in self?.closed($0) },
                message: events.message,
                readEnded: events.readEnded,
                nodes: { [weak self] in self?.route.nodesTold($0) },
                moved: { [weak self] in self?.moved(to: $0) }
            )
        )
        self.connection = connection
        connection.start()
    }

    private func retry(after delay: Duration, _ error: NotifierError) {
        // A line per kind of failure, not per attempt: the attempts go on for as long as Redis is away.
        if error.code != lastLogged {
            lastLogged = error.code
            logger.warning("Redis is away", metadata: error.logMetadata)
        }
        timer = loop.after(delay) { [weak self] in self?.attempt() }
    }

    // MARK: The connection

    private func opened(_ server: Endpoint) {
        guard let events else { return }
        route.opened()
        lastLogged = nil
        if wasOpened { metrics.reconnects(purpose).increment() }
        wasOpened = true
        metrics.connected(purpose).set(1)
        logger.info("connected to Redis", metadata: [NotifierLogKey.server: "\(server)"])
        isOpen = true
        if case .sentinel = configuration.endpoint.topology { checkMasterLater() }
        events.opened()
    }

    private func moved(to owner: Endpoint) {
        switch route.moved(to: owner, at: loop.milliseconds) {
        case .leave: connection?.close(NotifierError(.away, "our keys are on another node of the cluster, at \(owner)"))
        case .stay: break
        }
    }

    private func checkMasterLater() {
        timer = loop.after(configuration.masterCheckInterval) { [weak self] in self?.checkMaster() }
    }

    private func checkMaster() {
        ask(route.next) { [weak self] result in
            guard let self, isOpen else { return }
            query = nil
            switch route.masterChecked(try? result.get()) {
            case .stay: checkMasterLater()
            case .leave: connection?.close(NotifierError(.away, "the sentinels name another master"))
            }
        }
    }

    private func closed(_ error: NotifierError) {
        guard let events else { return }
        connection = nil
        timer?.cancel()
        query?.cancel()
        query = nil
        metrics.connected(purpose).set(0)
        switch route.closed(at: loop.milliseconds, random: Double.random(in: 0..<1)) {
        case .attempt: attempt()
        case .retry(let delay): retry(after: delay, error)
        }
        events.failed(error)
        if isOpen {
            isOpen = false
            events.lost(error)
        }
    }
}
