// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The queue: requests that wait because every server they may go to has as many as it may have.
// Flows through: an exchange that finds no place -> `PoolQueue`, in the order of coming over all loops -> a place that becomes free on
//   any loop is taken for the first one that may have it -> `grant`, which goes on where the request is.
// Owner: shared by all loops, guarded by its mutex; the exchanges themselves stay with their loops.
// Must hold: bounded; no wake-up is lost; whoever leaves early gets no place, or gives it back.

import Synchronization

/// One pool's queue.
final class PoolQueue: Sendable {
    struct Ticket: Sendable, Hashable {
        fileprivate let number: UInt64
    }

    /// Called on whichever loop had the place; the place is taken already.
    typealias Grant = @Sendable (Ticket, PooledServer) -> Void

    private struct Waiter {
        let ticket: Ticket
        /// nil: any server that takes new clients.
        let server: PooledServer?
        let grant: Grant
    }

    private struct State {
        var waiters: [Waiter] = []
        var open: [PooledServer] = []
        var limit: Int
        var lastTicket: UInt64 = 0
    }

    private let state: Mutex<State>
    private let length = Atomic<Int>(0)
    /// Those of them who would take any server.
    private let generalLength = Atomic<Int>(0)

    init(limit: Int) {
        state = Mutex(State(limit: limit))
    }

    var count: Int { length.load(ordering: .relaxed) }
    var hasWaiters: Bool { length.load(ordering: .sequentiallyConsistent) > 0 }
    /// Somebody who comes now and would take any server has others before him.
    var hasGeneralWaiters: Bool { generalLength.load(ordering: .relaxed) > 0 }

    func count(for server: PooledServer) -> Int {
        guard count > 0 else { return 0 }
        return state.withLock { state in state.waiters.count { $0.server === server } }
    }

    func change(limit: Int) {
        state.withLock { $0.limit = limit }
    }

    /// Which servers take new clients; called whenever they, their order or a limit change.
    func open(_ servers: [PooledServer]) {
        state.withLock { $0.open = servers }
        if hasWaiters { serve() }
    }

    /// nil where too many wait already. The grant may come before the caller's next turn, but not before this returns.
    func wait(for server: PooledServer?, _ grant: @escaping Grant) -> Ticket? {
        let ticket = state.withLock { state -> Ticket? in
            guard state.waiters.count < state.limit else { return nil }
            state.lastTicket += 1
            let ticket = Ticket(number: state.lastTicket)
            state.waiters.append(Waiter(ticket: ticket, server: server, grant: grant))
            publishLength(state)
            return ticket
        }
        // A place may have become free after the caller had looked.
        if ticket != nil { serve() }
        return ticket
    }

    /// False: the grant is on its way, and whoever gets it gives the place back.
    @discardableResult
    func leave(_ ticket: Ticket) -> Bool {
        state.withLock { state in
            guard let index = state.waiters.firstIndex(where: { $0.ticket == ticket }) else { return false }
            state.waiters.remove(at: index)
            publishLength(state)
            return true
        }
    }

    /// Gives free places to waiters, first come first served.
    func serve() {
        let granted = state.withLock { state in
            var granted: [(Waiter, PooledServer)] = []
            // Once nothing is free in general, only those who wait for one certain server can still be lucky.
            var isFull = false
            state.waiters.removeAll { waiter in
                guard waiter.server != nil || !isFull else { return false }
                guard let server = Self.place(for: waiter, among: state.open) else {
                    isFull = isFull || waiter.server == nil
                    return false
                }
                granted.append((waiter, server))
                return true
            }
            publishLength(state)
            return granted
        }
        for (waiter, server) in granted { waiter.grant(waiter.ticket, server) }
    }

    private func publishLength(_ state: borrowing State) {
        length.store(state.waiters.count, ordering: .sequentiallyConsistent)
        generalLength.store(state.waiters.count { $0.server == nil }, ordering: .relaxed)
    }

    /// Of several with room the least busy one: whoever comes out of a queue has waited long enough.
    private static func place(for waiter: Waiter, among open: [PooledServer]) -> PooledServer? {
        if let server = waiter.server { return server.beginExchange() ? server : nil }
        while let server = open.filter(\.hasRoom).min(by: { $0.load < $1.load }) {
            if server.beginExchange() { return server }
        }
        return nil
    }
}
