// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Listeners: clients come in, one loop each for life.
// Flows through: accepted sockets -> `ClientConnection` (heads, keep-alive) -> an `Exchange` for each request.
// Owner: a `BalancerLoop` owns everything on its loop; loops share only immutable values, atomics and the admission bucket.
// Must hold: a head is parsed once, in the loop's receive buffer where it came whole; an idle client owns no buffer; whatever has a
//   deadline is in the sweep.

import Logging
import Reactor
import Wire

/// One loop's part of the balancer. Confined to its loop; lives until `close`.
final class BalancerLoop {
    let loop: Loop
    /// The newest; an exchange keeps those that it began with.
    private(set) var settings: LoopSettings
    let sweep = DeadlineSweep()
    private(set) var pools: [PoolView]
    private(set) var isDraining = false
    /// For heads that come whole; others take a parser of their own.
    var requestParser: RequestHeadParser
    var responseParser: ResponseHeadParser
    /// Where heads are put together before they are written; empty between uses.
    var scratch: [UInt8] = []
    var names = NameGenerator()
    /// How many responses are being compressed.
    var compressors = 0
    let verifiedTokens = VerifiedTokens()
    /// Made for the first client that speaks it.
    private(set) lazy var http2 = HTTP2Shared(settings.limits.http2, head: settings.limits.head, loop: loop)
    private var listeners: [(socket: ListenSocket, listener: Listener)] = []
    /// Of another configuration that is not in force yet.
    private var prepared: [(socket: ListenSocket, listener: Listener)] = []
    /// Stays until the end: a drain is something to watch.
    private var adminListeners: [Listener] = []
    /// While a successor takes over: see `leaveListeners`.
    private var yieldTimer: LoopTimer?
    private var sweepTimer: LoopTimer?
    private var pacer: TunnelPacer?
    private let closings: TunnelClosings
    private var drainTimer: LoopTimer?
    private var drained: (() -> Void)?
    private var tallies: [(listener: SocketAddress, tally: TrafficTally)] = []
    private var openClients = 0
    private var openTunnels = 0
    private var isClosed = false

    init(_ settings: LoopSettings, snapshots: [PoolSnapshot], loop: Loop) {
        loop.assertCurrent()
        self.loop = loop
        self.settings = settings
        closings = TunnelClosings(loop: loop)
        pools = snapshots.map { PoolView($0, loop: loop, idleLimit: settings.limits.idlePerServer) }
        requestParser = RequestHeadParser(limits: settings.limits.head)
        responseParser = ResponseHeadParser(limits: settings.limits.head)
        for pool in pools { count(pool) }
        sweepTimer = loop.every(.milliseconds(100)) { [weak self] in
            guard let self else { return }
            sweep.run(at: self.loop.milliseconds)
        }
    }

    var limits: BalancerLimits { settings.limits }
    var times: DeadlineTimes { settings.times }

    /// The loop's clock, this many milliseconds on.
    func deadline(in milliseconds: UInt64) -> UInt64 {
        loop.milliseconds + milliseconds
    }

    // MARK: Clients

    /// Makes listeners for those of these sockets that have none, as far as it can fail: they take nobody in before `listen`. Where it does
    /// fail, nothing has changed.
    func prepare(_ wanted: [(socket: ListenSocket, traits: ListenerTraits)]) throws(ReactorError) {
        discardPrepared()
        guard !isDraining, !isClosed else { return }
        for (socket, traits) in wanted where !listeners.contains(where: { $0.socket === socket }) {
            do throws(ReactorError) {
                let listener = try Listener(
                    socket,
                    on: loop,
                    options: arrivalOptions(traits),
                    isWaiting: true,
                    failed: acceptFailed,
                    accepted: arrival(with: traits)
                )
                prepared.append((socket, listener))
            } catch {
                discardPrepared()
                throw error
            }
        }
    }

    func discardPrepared() {
        for (_, listener) in prepared { listener.close() }
        prepared = []
    }

    /// Listens on these sockets, which are open already or prepared, until the drain, and on no other.
    func listen(on wanted: [(socket: ListenSocket, traits: ListenerTraits)]) {
        guard !isDraining, !isClosed else { return discardPrepared() }
        let before = listeners
        listeners = []
        for (socket, traits) in wanted {
            if let known = before.first(where: { $0.socket === socket })?.listener {
                let next = known.successor(options: arrivalOptions(traits), accepted: arrival(with: traits))
                if let next { listeners.append((socket, next)) }
            } else if let new = prepared.firstIndex(where: { $0.socket === socket }) {
                listeners.append(prepared.remove(at: new))
                listeners.last?.listener.begin()
            }
            // From now on it is told of, whether somebody comes or not.
            _ = tally(of: traits.address)
        }
        discardPrepared()
        // Whoever has been let in by the kernel already is a client still, and handshakes go on.
        for (socket, listener) in before where !listeners.contains(where: { $0.socket === socket }) { listener.closeAfterAccepting() }
    }

    /// What becomes of a client that has come in.
    private func arrival(with traits: ListenerTraits) -> (Connection) -> Void {
        { [weak self] connection in
            guard let self, !isClosed else {
                connection.close()
                return
            }
            if limits.http2.isAssumed || connection.tls?.applicationProtocol == "h2" {
                HTTP2Connection(connection, listener: traits, host: self).start()
            } else {
                ClientConnection(connection, listener: traits, host: self).start()
            }
        }
    }

    /// Serves operators on a socket, until the end: a drain is something to watch.
    func listenForOperators(on socket: ListenSocket, site: AdminSite, identity: TLSServerIdentity?) throws(ReactorError) {
        adminListeners.append(
            try Listener(socket, on: loop, options: handshakeOptions(identity), failed: acceptFailed) { [weak self] connection in
                guard let self, !isClosed else { return connection.close() }
                AdminConnection(connection, host: self, site: site).start()
            }
        )
    }

    /// The same for commands on a Unix socket.
    func listenForCommands(on socket: ListenSocket, desk: AdminDesk) throws(ReactorError) {
        adminListeners.append(
            try Listener(socket, on: loop, failed: acceptFailed) { [weak self] connection in
                guard let self, !isClosed else { return connection.close() }
                CommandSession(connection, host: self, desk: desk).start()
            }
        )
    }

    private var acceptFailed: (ReactorError) -> Void {
        { [settings] error in settings.logger.log(.warning, "cannot accept a connection", [.error: error.description]) }
    }

    /// The handshake alone.
    private func handshakeOptions(_ identity: TLSServerIdentity?) -> ListenerOptions {
        var options = ListenerOptions()
        options.tls = identity
        options.turnedAway = { [settings] failure, peer in
            settings.metrics.countRejected(failure.code)
            settings.logger.log(.debug, "a client was turned away", [.client: peer?.host ?? "-", .reason: failure.code])
        }
        return options
    }

    /// What a client has to do before it is one.
    private func arrivalOptions(_ traits: ListenerTraits) -> ListenerOptions {
        var options = handshakeOptions(traits.identity)
        // What is trusted and how much is allowed may change while the listener is open.
        options.admit = { [weak self] address in
            guard let self, address.map(isTrusted) != true else { return .admitted(permit: nil) }
            return settings.shared.connectionCap.admit(address, limit: limits.connectionsPerAddress)
        }
        if traits.acceptsProxyProtocol {
            options.prelude = ListenerPrelude { [weak self] peer in
                guard let self, let peer else { return false }
                return isTrusted(peer)
            } read: { bytes in
                ProxyParser.verdict(bytes)
            }
        }
        return options
    }

    private func isTrusted(_ address: SocketAddress) -> Bool {
        settings.trustedProxies.contains { $0.contains(address) }
    }

    /// What this loop counts for a listener; a connection asks once.
    func tally(of listener: SocketAddress) -> TrafficTally {
        if let known = tallies.first(where: { $0.listener == listener }) { return known.tally }
        let tally = settings.shared.tallies.open(.listener("\(listener)"))
        tallies.append((listener, tally))
        return tally
    }

    func clientCame() {
        openClients += 1
    }

    /// A client is gone, or has become a tunnel.
    func clientLeft() {
        openClients -= 1
        checkDrained()
    }

    func tunnelOpened(_ tunnel: Tunnel) {
        openTunnels += 1
        // Its upgrade was under way when the drain began.
        pacer?.add(tunnel)
        closings.opened(tunnel)
    }

    func tunnelClosed() {
        settings.shared.sessions.change(by: -1)
        openTunnels -= 1
        checkDrained()
    }

    // MARK: Pools

    private func count(_ pool: PoolView) {
        settings.shared.tallies.enter(pool.ownCounts.tally, for: .pool(pool.snapshot.name))
    }

    func adopt(_ change: PoolChange, loops: Int) {
        guard !isClosed else { return }
        switch change {
        case .snapshot(let snapshot):
            // A pool that is new comes with the settings that lead to it.
            pools.first { $0.snapshot.name == snapshot.name }?.adopt(snapshot)
        case .closeTunnels(let server, let perSecond):
            closings.close(sweep.all(Tunnel.self).filter { $0.leads(to: server) }, to: server, perSecond: perSecond, loops: loops)
        case .keepTunnels(let server):
            closings.keep(server)
        }
    }

    /// Takes over a changed configuration: the pools and the settings that lead to them, in one turn. Pools are known by their names: those
    /// that stay keep their connections, and what is under way in the others goes on until it ends.
    func adopt(_ settings: LoopSettings, snapshots: [PoolSnapshot]) {
        guard !isClosed else { return }
        self.settings = settings
        let limits = settings.limits
        requestParser = RequestHeadParser(limits: limits.head)
        responseParser = ResponseHeadParser(limits: limits.head)
        // Connections that are there keep theirs.
        http2 = HTTP2Shared(limits.http2, head: limits.head, loop: loop)
        var known = Dictionary(uniqueKeysWithValues: pools.map { ($0.snapshot.name, $0) })
        pools = snapshots.map { snapshot in
            guard let view = known.removeValue(forKey: snapshot.name) else {
                let view = PoolView(snapshot, loop: loop, idleLimit: limits.idlePerServer)
                count(view)
                return view
            }
            view.adopt(snapshot)
            return view
        }
        for gone in known.values { gone.close() }
    }

    // MARK: End

    /// Takes nobody new, lets exchanges end, closes tunnels evenly; `done` is called once all are gone, at the latest when time is up.
    func drain(done: @escaping () -> Void, loops: Int) {
        guard !isDraining, !isClosed else {
            done()
            return
        }
        isDraining = true
        drained = done
        leaveListeners(loops: loops)
        drainClients()
        let tunnels = sweep.all(Tunnel.self)
        pacer = TunnelPacer(tunnels, pace: TunnelPace(limits, tunnels: tunnels.count, loops: loops), loop: loop)
        drainTimer = loop.after(limits.drain) { [weak self] in self?.endDrain() }
        checkDrained()
    }

    /// Where a successor listens on the same address, it gets the new clients from here on, and those who are on their way to us have half a
    /// second to arrive: nobody meets a closed door.
    private func leaveListeners(loops: Int) {
        var yields = false
        for (socket, _) in listeners where socket.yield(count: loops) { yields = true }
        guard yields else { return closeListeners() }
        yieldTimer = loop.after(.milliseconds(500)) { [weak self] in
            guard let self else { return }
            yieldTimer = nil
            let sockets = listeners.map(\.socket)
            closeListeners()
            settings.shared.socketRest.leave(sockets, loops: loops)
            drainClients()
            checkDrained()
        }
    }

    private func closeListeners() {
        for (_, listener) in listeners { listener.closeAfterAccepting() }
        listeners = []
    }

    private func drainClients() {
        for client in sweep.all(ClientConnection.self) { client.drain() }
        for client in sweep.all(HTTP2Connection.self) { client.drain() }
    }

    private func checkDrained() {
        if isDraining, yieldTimer == nil, openClients == 0, openTunnels == 0 { endDrain() }
    }

    private func endDrain() {
        drainTimer?.cancel()
        drainTimer = nil
        let done = drained
        drained = nil
        done?()
    }

    /// Ends everything now.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        discardPrepared()
        for (_, listener) in listeners { listener.close() }
        listeners = []
        yieldTimer?.cancel()
        yieldTimer = nil
        for listener in adminListeners { listener.close() }
        adminListeners = []
        pacer?.stop()
        closings.stop()
        sweepTimer?.cancel()
        endDrain()
        for pool in pools { pool.close() }
        for tunnel in sweep.all(Tunnel.self) { tunnel.deadlinePassed() }
        for client in sweep.all(ClientConnection.self) { client.close() }
        for client in sweep.all(HTTP2Connection.self) { client.close() }
        for client in sweep.all(AdminConnection.self) { client.close() }
        for session in sweep.all(CommandSession.self) { session.close() }
    }
}
