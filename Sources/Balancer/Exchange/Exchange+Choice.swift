// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// Where an exchange wants to go: what its request says of it.
struct ServerWish {
    /// The server that the client had.
    var pinned: PooledServer?
    /// The client's valid cookie for it.
    var token: StickyToken?
    /// What a hash goes by.
    var key: UInt64?
    /// Rather 503 than another server.
    var isBound = false
}

/// Which server a request goes to: its client's own, the one whose turn it is, or whichever has a place first.
extension Exchange {
    /// Begins the first attempt, waits in the queue, or refuses.
    func choose(_ head: RequestHead, _ bytes: Span<UInt8>) {
        guard let pool else { return }
        guard readWish(head, bytes, pool) else { return refuse(.serverDown) }
        choose(in: pool)
    }

    /// False where the client's server is down and no other one will do.
    private func readWish(_ head: RequestHead, _ bytes: Span<UInt8>, _ pool: PoolView) -> Bool {
        let client: ClientConnection = client
        let snapshot = pool.snapshot
        if let sticky = snapshot.sticky {
            logged?.pin = .absent
            let sign = sticky.read(
                head,
                in: bytes,
                with: host.verifiedTokens,
                seconds: Self.wallSeconds,
                address: { client.forwarding.clientAddress(head.fields, bytes) }
            )
            switch sign {
            case .none:
                break
            case .refused(let reason):
                logged?.pin = .refused(reason)
                settings.metrics.countRefusedPin(reason)
            case .key(let key):
                return pin(key, pool, isBound: sticky.failsWhenDown)
            case .member(let member, let token):
                guard let reason = snapshot.refusal(ofPin: member) else {
                    logged?.pin = .valid
                    wish = ServerWish(pinned: snapshot.members[member].server, token: token, isBound: sticky.failsWhenDown)
                    return true
                }
                logged?.pin = .refused(reason)
                settings.metrics.countRefusedPin(reason)
                if sticky.failsWhenDown, reason == .down { return false }
            }
        }
        if case .hash(let key, _) = snapshot.configuration.balance {
            wish.key = key.value(of: head, in: bytes) { client.forwarding.clientAddress(head.fields, bytes) }
        }
        return true
    }

    /// A client that is known by its address, a field or a parameter: the same servers lead it to the same one.
    private func pin(_ key: UInt64, _ pool: PoolView, isBound: Bool) -> Bool {
        let members = pool.snapshot.members
        let winner = Rendezvous.winner(of: key, identities: members.map(\.server.identity), shares: members.map(\.share)) { index in
            isBound ? !members[index].configuration.isBackup : members[index].isCandidate
        }
        guard let winner else { return true }
        if let reason = pool.snapshot.refusal(ofPin: winner) {
            settings.metrics.countRefusedPin(reason)
            return reason != .down
        }
        wish = ServerWish(pinned: members[winner].server, isBound: isBound)
        return true
    }

    private func choose(in pool: PoolView) {
        let choice: PoolView.Choice
        if let server = wish.pinned, let member = pool.position(of: server) {
            choice = pool.take(pinned: member)
        } else {
            choice = pool.take(key: wish.key)
        }
        switch choice {
        case .place(let place): attempt(at: place, onNewConnection: false)
        case .none: refuse(.noServer)
        case .full: wait(in: pool)
        }
    }

    // MARK: Queue

    private func wait(in pool: PoolView) {
        if let logged {
            let queue = pool.snapshot.queue
            logged.queuedAhead = (wish.pinned.map { queue.count(for: $0) } ?? 0, queue.count)
        }
        guard let ticket = pool.wait(self, for: wish.pinned) else { return refuse(.queueFull) }
        self.ticket = ticket
        client.setDeadline(in: settings.times.queue)
        balanceClient()
    }

    /// A place has become free, and is this exchange's.
    func granted(_ server: PooledServer) {
        ticket = nil
        guard let pool, let place = pool.place(of: server) else {
            server.exchangeEnded()
            return refuse(.noServer)
        }
        attempt(at: place, onNewConnection: false)
    }

    /// What the exchange waits for may never come now.
    func poolChanged() {
        guard let pool, ticket != nil else { return }
        if let server = wish.pinned {
            guard !pool.isServing(server) else { return }
            leaveQueue()
            settings.metrics.countRefusedPin(.down)
            guard !wish.isBound else { return refuse(.serverDown) }
            wish = ServerWish()
            choose(in: pool)
        } else if !pool.snapshot.members.contains(where: \.isCandidate) {
            leaveQueue()
            refuse(.noServer)
        }
    }

    func poolRemoved() {
        guard ticket != nil else { return }
        leaveQueue()
        refuse(.noServer)
    }

    func leaveQueue() {
        guard let ticket else { return }
        self.ticket = nil
        pool?.leave(ticket)
    }
}
