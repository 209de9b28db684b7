// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The gateway as a whole: a listener, a hub and a table of sockets on every loop, the feeds on the first one.
// Flows through: accepted connections to handshakes to watches; deliveries from the feed loop to the hubs; the drain to every socket.
// Owner: `GatewayService.run` makes and ends everything here; a `SocketLoop` is confined to its loop.
// Must hold: what has a deadline is found by the loop's beat, never by a timer of its own; a drain loses no revision and closes at its pace.

import Glibc
import Logging
import Reactor
import Store

/// Somebody with a deadline: a head, a token, a close handshake.
protocol Overdue: AnyObject {
    func becameOverdue()
}

/// Everything of one loop. Confined to it.
final class SocketLoop {
    let loop: Loop
    let index: Int
    /// The newest; a connection keeps the limits that it began with.
    private(set) var configuration: GatewayConfiguration
    let desk: FeedDesk
    let status: GatewayStatus
    let health: HealthReporter
    let metrics: GatewayMetrics
    let logger: Logger
    let hub: Hub
    let ledger: WatcherLedger
    private(set) var sockets = SocketTable()
    private var handshakes: HandshakeRate?
    private var listener: Listener?
    private var deadlines: [ObjectIdentifier: (holder: any Overdue, at: UInt64)] = [:]
    private var beatTimer: LoopTimer?
    private var drainTimer: LoopTimer?
    private var beats = 0
    private var nextExpiry: Int64?
    private var lastConnection: UInt32 = 0
    private var drained: (() -> Void)?
    /// Of handshakes whose first subscriptions aren't there yet, by connection. An idle watch has none.
    private var requestIDs: [UInt32: (text: String, left: Int)] = [:]

    init(
        loop: Loop,
        configuration: GatewayConfiguration,
        desk: FeedDesk,
        status: GatewayStatus,
        health: HealthReporter,
        pulse: LedgerPulse,
        handshakes: HandshakeRate?,
        metrics: GatewayMetrics,
        logger: Logger
    ) {
        self.loop = loop
        index = loop.index
        self.configuration = configuration
        self.desk = desk
        self.status = status
        self.health = health
        self.metrics = metrics
        self.logger = logger
        hub = Hub(
            metrics: metrics,
            clock: { [unowned loop] in loop.milliseconds },
            wallClock: Self.wallClock,
            requestTurn: { [unowned loop] in loop.requestTurn() }
        )
        self.handshakes = handshakes
        let index = index
        ledger = WatcherLedger(pulse: pulse) { Self.connectionName($0, on: index) }
    }

    /// Milliseconds since 1970.
    static func wallClock() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    var now: UInt64 { loop.milliseconds }
    /// For what is kept per socket.
    var seconds: UInt32 { UInt32(truncatingIfNeeded: loop.milliseconds / 1000) }

    // MARK: Life

    /// Accepts on the socket, with TLS where the gateway has an identity.
    func start(_ socket: ListenSocket, _ identity: TLSServerIdentity?) throws(ReactorError) {
        start()
        var options = ListenerOptions()
        options.tls = identity
        listener = try Listener(
            socket,
            on: loop,
            options: options,
            failed: { [logger] error in logger.error("A connection cannot be accepted", metadata: ["error": "\(error)"]) },
            accepted: { [weak self] connection in self?.accepted(connection) }
        )
    }

    /// Begins to sweep and to beat.
    func start() {
        let hub = hub
        loop.addTurnTask { hub.sweep() }
        // A whole round of the buckets is one heartbeat interval.
        let interval = configuration.heartbeat / SocketTable.bucketCount
        beatTimer = loop.every(interval < .milliseconds(1) ? .milliseconds(1) : interval) { [weak self] in self?.beat() }
    }

    /// Another configuration, for whoever comes from now on; `share` of the handshakes is this loop's.
    func adopt(_ new: GatewayConfiguration, share: HandshakeRate?) {
        if new.handshakeRate != configuration.handshakeRate { handshakes = share }
        configuration = new
    }

    /// The end of the service: whatever is still open goes without ceremony.
    func stop() {
        listener?.close()
        listener = nil
        beatTimer?.cancel()
        drainTimer?.cancel()
        for connection in sockets.all { connection.abandon() }
        let left = deadlines.values.map(\.holder)
        deadlines = [:]
        for holder in left { holder.becameOverdue() }
        hub.flushCounts()
    }

    private func accepted(_ connection: Connection) {
        let handshake = HandshakeConnection(connection, on: self)
        setDeadline(configuration.headDeadline, for: handshake)
        connection.start(handshake)
    }

    // MARK: Sockets

    func nextConnectionNumber() -> UInt32 {
        lastConnection &+= 1
        return lastConnection
    }

    /// As the client and operators know it.
    func connectionName(_ number: UInt32) -> String {
        Self.connectionName(number, on: index)
    }

    private static func connectionName(_ number: UInt32, on index: Int) -> String {
        let digits = String(UInt64(index) << 32 | UInt64(number), radix: 16)
        return "c-\(String(repeating: "0", count: max(0, 8 - digits.utf8.count)))\(digits)"
    }

    // MARK: Request ids

    func remember(_ requestID: String, of number: UInt32, for subscriptions: Int) {
        requestIDs[number] = (requestID, subscriptions)
    }

    func takeRequestID(of number: UInt32) -> String? {
        guard let known = requestIDs[number] else { return nil }
        if known.left > 1 { requestIDs[number] = (known.text, known.left - 1) } else { forgetRequestID(of: number) }
        return known.text
    }

    func forgetRequestID(of number: UInt32) {
        requestIDs[number] = nil
        // The room that a crowd took.
        if requestIDs.isEmpty { requestIDs = [:] }
    }

    /// False: more come than this loop's share of what is let in.
    func admitHandshake() -> Bool {
        handshakes?.admit(at: now) ?? true
    }

    func add(_ connection: any LoopSocket) -> SocketTable.Place {
        sockets.add(connection)
    }

    func remove(_ connection: any LoopSocket) {
        sockets.remove(at: connection.place)
        status.connectionClosed()
        if sockets.count == 0 { finishDrain() }
    }

    /// A token with an end is in use here.
    func noteExpiry(_ moment: Int64) {
        nextExpiry = min(nextExpiry ?? moment, moment)
    }

    // MARK: Deadlines

    /// A drain has its own end to keep.
    var closeDeadline: Duration {
        status.isDraining ? min(configuration.closeDeadline, .seconds(3)) : configuration.closeDeadline
    }

    func setDeadline(_ delay: Duration, for holder: any Overdue) {
        deadlines[ObjectIdentifier(holder)] = (holder, now + delay.wholeMilliseconds)
    }

    func clearDeadline(for holder: any Overdue) {
        deadlines[ObjectIdentifier(holder)] = nil
    }

    // MARK: Beat

    private func beat() {
        beats += 1
        for connection in sockets.bucket(beats) { connection.heartbeat() }
        // Four times a round each socket is looked at for silence and stalls.
        for quarter in 0..<4 {
            for connection in sockets.bucket(beats + quarter * SocketTable.bucketCount / 4) { connection.check() }
        }
        let overdue = deadlines.values.filter { $0.at <= now }
        for entry in overdue {
            deadlines[ObjectIdentifier(entry.holder)] = nil
            entry.holder.becameOverdue()
        }
        if let expiry = nextExpiry, expiry <= Self.wallClock() { expireTokens() }
        hub.flushCounts()
    }

    private func expireTokens() {
        let moment = Self.wallClock()
        nextExpiry = nil
        for connection in sockets.all {
            guard let expiry = connection.expiry else { continue }
            if expiry <= moment { connection.tokenEnded(.expired) } else { noteExpiry(expiry) }
        }
    }

    // MARK: From the feed loop

    func deliver(_ delivery: HubDelivery) {
        hub.publish(delivery.publications)
        ledger.published(delivery.publications)
        for (group, reason) in delivery.ended { hub.end(group, reason) }
    }

    func tokenNoticed(_ notice: TokenDirectory.Notice) {
        for connection in sockets.all {
            switch notice {
            case .ended(let id, let end):
                if connection.principal?.token.id == id { connection.tokenEnded(end) }
            case .changed(let principal):
                if connection.principal?.token.identity == principal.token.identity { connection.tokenChanged(principal) }
            }
        }
    }

    // MARK: Drain

    /// Closes this loop's sockets at its share of the pace; `done` when none is left.
    func drain(rate: Int, _ done: (() -> Void)? = nil) {
        // An operator may have asked for it before the process was told to end, or at the same time: who waits goes on waiting.
        drainTimer?.cancel()
        if let done { drained = done }
        guard sockets.count > 0 else {
            finishDrain()
            return
        }
        let perSecond = max(rate, sockets.count * 1000 / Int(max(1, configuration.drainTime.wholeMilliseconds)) + 1)
        let began = now
        var closed = 0
        drainTimer = loop.every(.milliseconds(20)) { [weak self] in
            guard let self else { return }
            let due = Int(now - began) * perSecond / 1000 - closed
            guard due > 0 else { return }
            for connection in sockets.some(due, where: { !$0.isClosing }) {
                closed += 1
                connection.sendAway(reconnectAfter: Int.random(in: 0...1000))
            }
        }
    }

    /// The operator has thought better of it.
    func endDrain() {
        // Or the process was told to end since: that drain must not be stopped.
        guard !status.isDraining else { return }
        drainTimer?.cancel()
        drainTimer = nil
    }

    private func finishDrain() {
        drainTimer?.cancel()
        drainTimer = nil
        let drained = drained
        self.drained = nil
        drained?()
    }
}
