// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// A pool as one loop sees it: the newest snapshot, whose turn it is here, and this loop's connections to the servers. Confined to its loop.
final class PoolView {
    /// A server's side of one loop.
    final class Place {
        let server: PooledServer
        let idle: IdleConnections
        let counts: StatusCounts

        init(_ server: PooledServer, idleLimit: Int) {
            self.server = server
            idle = IdleConnections(limit: idleLimit)
            counts = StatusCounts(pool: server.pool, server: server.name)
            server.enter(counts.tally)
        }
    }

    private(set) var snapshot: PoolSnapshot
    var budget: RetryBudget
    /// For answers that no server gave.
    let ownCounts: StatusCounts
    private var places: [Place] = []
    private var turns = SmoothWeightedRoundRobin(weights: [])
    private let loopIndex: Int
    private let idleLimit: Int

    init(_ snapshot: PoolSnapshot, loop: Loop, idleLimit: Int) {
        self.snapshot = snapshot
        loopIndex = loop.index
        self.idleLimit = idleLimit
        budget = RetryBudget(at: loop.milliseconds)
        ownCounts = StatusCounts(pool: snapshot.name, server: "none")
        adopt(snapshot)
    }

    /// Servers that stay keep their connections; those of the others are closed, unless they carry an exchange.
    func adopt(_ snapshot: PoolSnapshot) {
        var known = Dictionary(uniqueKeysWithValues: places.map { (ObjectIdentifier($0.server), $0) })
        let weights = snapshot.members.map(\.weight)
        if weights != self.snapshot.members.map(\.weight) || places.isEmpty {
            turns = SmoothWeightedRoundRobin(weights: weights, skipping: loopIndex)
        }
        self.snapshot = snapshot
        places = snapshot.members.map { member in
            let place = known.removeValue(forKey: ObjectIdentifier(member.server)) ?? Place(member.server, idleLimit: idleLimit)
            if member.standing == .up { place.idle.open() } else { place.idle.close() }
            return place
        }
        for place in known.values { place.idle.close() }
    }

    /// The next server in turn that is up and not among those `tried`.
    func next(avoiding tried: [PooledServer]) -> Place? {
        let members = snapshot.members
        let index = turns.next { index in
            members[index].standing == .up && !tried.contains { $0 === members[index].server }
        }
        return index.map { places[$0] }
    }

    /// The place a pin leads to, or why it is not followed.
    func place(pinned member: Int) -> Result<Place, StickyRefusal> {
        switch snapshot.members[member].standing {
        case .up: .success(places[member])
        case .draining: .failure(.draining)
        case .down, .ejected: .failure(.down)
        }
    }

    /// The sticky cookie that goes with an answer of `server`; nil for none.
    func cookie(for server: PooledServer, kept: StickyToken?, at now: UInt32) -> String? {
        guard let sticky = snapshot.sticky, let member = snapshot.members.firstIndex(where: { $0.server === server }) else { return nil }
        return sticky.renewal(of: kept, servedBy: member, at: now)
    }

    func closeIdle() {
        for place in places { place.idle.close() }
    }
}

extension StickyRefusal: Error {}
