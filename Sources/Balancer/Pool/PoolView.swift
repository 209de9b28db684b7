// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// A pool as one loop sees it: the newest snapshot, whose turn it is here, this loop's connections to the servers, and those of its
/// exchanges that wait for a place. Confined to its loop.
final class PoolView {
    /// A server's side of one loop.
    final class Place {
        let server: PooledServer
        let idle: IdleConnections
        let counts: StatusCounts
        /// Of the newest snapshot.
        fileprivate(set) var transport: ServerTransport
        /// When the last fault of its TLS was logged.
        var toldOfTLS: UInt64 = 0

        init(_ server: PooledServer, over transport: ServerTransport, idleLimit: Int) {
            self.server = server
            self.transport = transport
            idle = IdleConnections(limit: idleLimit)
            counts = StatusCounts(server.series.requests)
            server.enter(counts.tally)
        }
    }

    /// A place that is found is taken: its exchange gives it back.
    enum Choice {
        case place(Place)
        /// Every server that may be chosen has as many as it may have.
        case full
        case none
    }

    private(set) var snapshot: PoolSnapshot
    var budget: RetryBudget
    /// For answers that no server gave.
    let ownCounts: StatusCounts
    private var places: [Place] = []
    /// Of each member what a choice looks at, in arrays of their own: hundreds of members are passed by at each request.
    private var servers: [PooledServer] = []
    private var candidates: [Bool] = []
    private var reserves: [Bool] = []
    private var positions: [ObjectIdentifier: Int] = [:]
    /// The cookie that each member's new clients got last, and when: those of one second get the same.
    private var firstCookies: [(second: UInt32, text: String)?] = []
    private var picker: Picker
    private var generator = NameGenerator()
    private var waiting: [PoolQueue.Ticket: Exchange] = [:]
    private let loop: Loop
    private let idleLimit: Int

    init(_ snapshot: PoolSnapshot, loop: Loop, idleLimit: Int) {
        self.snapshot = snapshot
        self.loop = loop
        self.idleLimit = idleLimit
        picker = Picker(snapshot.configuration.balance, skipping: loop.index)
        budget = RetryBudget(at: loop.milliseconds)
        ownCounts = StatusCounts(RequestCounters(pool: snapshot.name, server: "none"))
        adopt(snapshot)
    }

    /// Servers that stay keep their connections; those of the others are closed, unless they carry an exchange.
    func adopt(_ snapshot: PoolSnapshot) {
        var known = Dictionary(uniqueKeysWithValues: places.map { (ObjectIdentifier($0.server), $0) })
        if snapshot.configuration.balance != self.snapshot.configuration.balance {
            picker = Picker(snapshot.configuration.balance, skipping: loop.index)
        }
        picker.adopt(shares: snapshot.members.map(\.share), identities: snapshot.members.map(\.server.identity))
        self.snapshot = snapshot
        servers = snapshot.members.map(\.server)
        candidates = snapshot.members.map(\.isCandidate)
        reserves = snapshot.members.map(\.isReserve)
        positions = Dictionary(servers.enumerated().map { (ObjectIdentifier($1), $0) }) { first, _ in first }
        firstCookies = Array(repeating: nil, count: servers.count)
        places = snapshot.members.enumerated().map { index, member in
            let place =
                known.removeValue(forKey: ObjectIdentifier(member.server))
                ?? Place(member.server, over: snapshot.transport, idleLimit: idleLimit)
            if place.transport !== snapshot.transport {
                // Nobody may get an answer over a connection that was made with other trust.
                place.idle.close()
                place.transport = snapshot.transport
            }
            if snapshot.refusal(ofPin: index) == nil { place.idle.open() } else { place.idle.close() }
            return place
        }
        for place in known.values { place.idle.close() }
        // What they wait for may never come now.
        for exchange in Array(waiting.values) { exchange.poolChanged() }
    }

    // MARK: Choice

    /// A server whose turn it is and that is none of those `tried`.
    func take(key: UInt64?, avoiding tried: [PooledServer] = []) -> Choice {
        // Nobody overtakes those who wait.
        if snapshot.hasLimits, tried.isEmpty, snapshot.queue.hasGeneralWaiters { return candidates.contains(true) ? .full : .none }
        let choice = take(key, tried, from: candidates)
        guard case .none = choice, !tried.isEmpty else { return choice }
        return take(key, tried, from: reserves)
    }

    private func take(_ key: UInt64?, _ tried: [PooledServer], from tier: [Bool]) -> Choice {
        let servers = servers
        let isPlain = tried.isEmpty && !snapshot.hasLimits
        var isFull = false
        while true {
            let index = picker.pick(key: key, using: &generator, loads: { servers[$0].load }) { index in
                guard tier[index], !isPlain else { return tier[index] }
                let server = servers[index]
                guard !tried.contains(where: { $0 === server }) else { return false }
                if server.hasRoom { return true }
                isFull = true
                return false
            }
            guard let index else { return isFull ? .full : .none }
            // Another loop may have been quicker: then this one has no room any more, and the next round passes it by.
            if servers[index].beginExchange() { return .place(places[index]) }
            isFull = true
        }
    }

    /// The server that a client had; the caller has made sure that it may be served there.
    func take(pinned member: Int) -> Choice {
        let server = snapshot.members[member].server
        if server.limit > 0, snapshot.queue.count(for: server) > 0 { return .full }
        return server.beginExchange() ? .place(places[member]) : .full
    }

    func position(of server: PooledServer) -> Int? {
        positions[ObjectIdentifier(server)]
    }

    func place(of server: PooledServer) -> Place? {
        position(of: server).map { places[$0] }
    }

    /// Where a client is served that is pinned to this server; nil where it isn't any more.
    func isServing(_ server: PooledServer) -> Bool {
        guard let member = position(of: server) else { return false }
        return snapshot.refusal(ofPin: member) == nil
    }

    /// The sticky cookie that goes with an answer of `server`; nil for none.
    func cookie(for server: PooledServer, kept: StickyToken?, at now: UInt32) -> String? {
        guard let table = snapshot.sticky?.table, let member = position(of: server) else { return nil }
        guard kept == nil else { return table.renewal(of: kept, servedBy: member, at: now) }
        if let first = firstCookies[member], first.second == now { return first.text }
        let text = table.renewal(of: nil, servedBy: member, at: now)
        firstCookies[member] = text.map { (now, $0) }
        return text
    }

    // MARK: Queue

    /// Puts an exchange into the queue, for one server or any; nil where too many wait. The grant comes back to this loop.
    func wait(_ exchange: Exchange, for server: PooledServer?) -> PoolQueue.Ticket? {
        // The view outlives what it lends here, but for a pool that is being removed; and then nothing in it minds where it ends.
        let view = LoopBound(self, loop: loop)
        let ticket = snapshot.queue.wait(for: server) { ticket, server in
            view.loop.post { view.value.granted(ticket, server) }
        }
        if let ticket { waiting[ticket] = exchange }
        return ticket
    }

    func leave(_ ticket: PoolQueue.Ticket) {
        // A grant that is on its way finds nobody, and gives its place back.
        waiting[ticket] = nil
        snapshot.queue.leave(ticket)
    }

    private func granted(_ ticket: PoolQueue.Ticket, _ server: PooledServer) {
        guard let exchange = waiting.removeValue(forKey: ticket) else {
            server.exchangeEnded()
            return
        }
        exchange.granted(server)
    }

    /// The pool has left the configuration, or everything ends.
    func close() {
        for place in places { place.idle.close() }
        for exchange in Array(waiting.values) { exchange.poolRemoved() }
    }
}
