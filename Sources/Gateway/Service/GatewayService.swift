// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Logging
package import Notifier
package import Reactor
package import Store
import Synchronization

/// How the gateway hears of changes.
package struct Doorbell: Sendable {
    let configuration: NotifierConfiguration
    let authenticator: MessageAuthenticator
    let metrics: NotifierMetrics

    package init(_ configuration: NotifierConfiguration, authenticator: MessageAuthenticator, metrics: NotifierMetrics) {
        self.configuration = configuration
        self.authenticator = authenticator
        self.metrics = metrics
    }
}

/// The gateway: start it with `run`, empty it with `drain`, end it by cancelling `run`.
///
/// The promise of the address is guarded by its mutex; everything else is immutable or confined to a loop.
package final class GatewayService: Sendable {
    private enum Listening {
        case waiting([CheckedContinuation<SocketAddress, any Error>])
        case open(SocketAddress)
        case failed(any Error)
    }

    /// As it was at the start: see `configure`.
    private let configuration: GatewayConfiguration
    /// Of a gateway that speaks TLS, once it listens.
    private let identity = Mutex<TLSServerIdentity?>(nil)
    private let hooks: GatewayHooks
    private let source: any ConfigurationSource
    private let doorbell: Doorbell?
    private let ledger: WatcherLedgerWriter?
    private let logins: LoginGuard
    private let pulse: LedgerPulse
    private let loops: LoopGroup
    private let logger: Logger
    private let metrics: GatewayMetrics
    private let status: GatewayStatus
    private let queue: SourceQueue
    private let audit: AuditQueue
    private let sockets: SocketLoops
    private let listeningState = Mutex(Listening.waiting([]))

    /// Without a doorbell the gateway lives from its sweeps alone; without a ledger nobody learns who watches.
    package init(
        _ configuration: GatewayConfiguration,
        source: any ConfigurationSource,
        doorbell: Doorbell?,
        ledger: WatcherLedgerWriter? = nil,
        logins: LoginGuard = LoginGuard(),
        hooks: GatewayHooks = GatewayHooks(),
        loops: LoopGroup,
        metrics: GatewayMetrics = GatewayMetrics(),
        logger: Logger
    ) {
        self.configuration = configuration
        self.hooks = hooks
        self.logins = logins
        self.source = source
        self.doorbell = doorbell
        self.ledger = ledger
        pulse = LedgerPulse { ledger?.changed() }
        self.loops = loops
        self.logger = logger
        self.metrics = metrics
        status = GatewayStatus(metrics: metrics, configuration)
        queue = SourceQueue(limit: configuration.waitingReads)
        audit = AuditQueue(
            limit: configuration.maximumAuditBytes,
            measured: metrics.auditQueue,
            logger: logger
        ) { notes throws(StoreError) in try await source.record(notes) }
        sockets = SocketLoops(count: loops.loops.count)
    }

    /// Open WebSocket connections.
    package var connections: Int { status.connectionCount }
    /// Would `/readyz` answer 200?
    package var isReady: Bool { !status.isDraining && source.isAvailable }

    /// Serves until cancelled. The loops must outlive this call.
    ///
    /// - Throws: `ReactorError` where the address cannot be listened on.
    package func run() async throws {
        do {
            let room = try await start()
            await work()
            try await stop(room)
        } catch {
            settle(.failed(error))
            throw error
        }
        settle(.failed(CancellationError()))
    }

    /// Until cancelled.
    private func work() async {
        let collector = LedgerCollector(sockets: sockets, pulse: pulse)
        await withDiscardingTaskGroup { group in
            if let ledger {
                group.addTask { await ledger.run { await collector.tallies(everything: $0) } }
            }
            group.addTask { await self.audit.run() }
            await queue.run()
        }
    }

    private func start() async throws -> LoopBound<FeedRoom> {
        let identity = try configuration.tls.map { options throws(ReactorError) in try TLSServerIdentity(options) }
        self.identity.withLock { $0 = identity }
        let listenSockets = try ListenSocket.open(configuration.listen, count: loops.loops.count)
        let feedLoop = loops.loops[0]
        let (configuration, source, queue, audit, logins, status, sockets, pulse, metrics, logger) =
            (configuration, source, queue, audit, logins, status, sockets, pulse, metrics, logger)
        let room = try await feedLoop.run {
            LoopBound(
                FeedRoom(
                    loop: feedLoop,
                    configuration: configuration,
                    source: source,
                    queue: queue,
                    status: status,
                    sockets: sockets,
                    metrics: metrics,
                    logger: logger,
                    asked: { [weak self] in self?.asked(toDrain: $0) }
                ),
                loop: feedLoop
            )
        }
        let desk = try await feedLoop.run {
            FeedDesk(
                loop: feedLoop,
                tokens: room.value.tokens,
                feeds: room.value.feeds,
                audit: audit,
                logins: logins,
                metrics: metrics,
                status: status
            )
        }
        let health = HealthReporter(configuration: configuration, hooks: hooks, status: status, source: source, queue: queue)
        let share = share(of: configuration)
        for loop in loops.loops {
            let bound = try await loop.run {
                LoopBound(
                    SocketLoop(
                        loop: loop,
                        configuration: configuration,
                        desk: desk,
                        status: status,
                        health: health,
                        pulse: pulse,
                        handshakes: share,
                        metrics: metrics,
                        logger: logger
                    ),
                    loop: loop
                )
            }
            sockets.add(bound)
        }
        if let doorbell { try await feedLoop.run { room.value.subscribe(doorbell, logger: logger) } }
        // Accepting comes last: whoever gets in finds everything there. A Unix socket has one listener.
        for (socket, bound) in zip(listenSockets, sockets.all) {
            try await bound.loop.run { try bound.value.start(socket, identity) }
        }
        for bound in sockets.all.dropFirst(listenSockets.count) { try await bound.loop.run { bound.value.start() } }
        settle(.open(listenSockets[0].address))
        logger.info(
            "The gateway listens",
            metadata: [
                "address": "\(listenSockets[0].address)", "loops": "\(loops.loops.count)",
                "maximumConnections": "\(configuration.maximumConnections)",
            ]
        )
        return room
    }

    private func stop(_ room: LoopBound<FeedRoom>) async throws {
        try await room.loop.run { room.value.stop() }
        for bound in sockets.all { try await bound.loop.run { bound.value.stop() } }
        // Closed connections report in the turn after; then nothing of this service is left on the loops.
        for bound in sockets.all { try await bound.loop.run {} }
    }

    // MARK: Change

    /// Takes over what may change while it serves: origins, limits, and the files of its TLS, which are read anew. Connections that are there
    /// keep what they began with.
    ///
    /// - Throws: `tls_failed`; then nothing has changed.
    package func configure(_ new: GatewayConfiguration) throws(ReactorError) {
        if let options = new.tls, let identity = identity.withLock({ $0 }) { try identity.replace(options) }
        status.adopt(new)
        let share = share(of: new)
        for index in 0..<sockets.count { sockets.post(index) { $0.adopt(new, share: share) } }
    }

    /// Each loop's share of the handshakes.
    private func share(of configuration: GatewayConfiguration) -> HandshakeRate? {
        configuration.handshakeRate.map { HandshakeRate(perSecond: max(1, $0 / loops.loops.count)) }
    }

    // MARK: Address

    /// The bound address, as soon as there is one.
    package func listening() async throws -> SocketAddress {
        try await withCheckedThrowingContinuation { continuation in
            let result: Result<SocketAddress, any Error>? = listeningState.withLock { state in
                switch state {
                case .waiting(let others):
                    state = .waiting(others + [continuation])
                    return nil
                case .open(let address): return .success(address)
                case .failed(let error): return .failure(error)
                }
            }
            if let result { continuation.resume(with: result) }
        }
    }

    private func settle(_ outcome: Listening) {
        let waiting = listeningState.withLock { state -> [CheckedContinuation<SocketAddress, any Error>] in
            defer { state = outcome }
            if case .waiting(let continuations) = state { return continuations }
            return []
        }
        for continuation in waiting {
            switch outcome {
            case .open(let address): continuation.resume(returning: address)
            case .failed(let error): continuation.resume(throwing: error)
            case .waiting: preconditionFailure("an address is never waited for again")
            }
        }
    }

    // MARK: Drain

    /// Lets nobody in any more, closes every socket at the pace of the drain, and returns when none is left. Health endpoints go on answering.
    package func drain() async {
        guard status.beginDrain() else { return }
        hooks.drainBegan()
        logger.notice("The gateway is being drained", metadata: ["connections": "\(status.connectionCount)"])
        let all = sockets.all
        let rate = drainRate
        await withDiscardingTaskGroup { group in
            for bound in all {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        bound.loop.post { bound.value.drain(rate: rate) { continuation.resume() } }
                    }
                }
            }
        }
        logger.notice("The gateway is drained")
    }

    /// Of each loop.
    private var drainRate: Int { max(1, configuration.drainRate / max(1, sockets.count)) }

    /// An operator's wish, on the feed loop: the same as a drain, but the process stays and can be taken back.
    private func asked(toDrain isDraining: Bool) {
        guard status.ask(toDrain: isDraining) else { return }
        logger.notice("The gateway was asked to drain or to serve again", metadata: ["drain": "\(isDraining)"])
        let rate = drainRate
        if isDraining { hooks.drainBegan() } else { hooks.drainEnded() }
        // The end of the process came in between, and must have the last word.
        if !isDraining, status.isDraining { hooks.drainBegan() }
        for index in 0..<sockets.count {
            sockets.post(index) { loop in
                if isDraining { loop.drain(rate: rate) } else { loop.endDrain() }
            }
        }
    }
}
