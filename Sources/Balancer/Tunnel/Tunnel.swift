// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Tunnels: an upgraded connection's bytes, both ways, unread.
// Flows through: bytes of one side straight from the loop's buffer into the other side's socket; what it refuses waits there, and
//   reading of the first side pauses until it has gone.
// Owner: the loop's sweep holds a tunnel until both of its connections are gone; it owns no buffer.
// Must hold: bytes keep their order; a side that has finished sending may still receive; the server's count falls exactly once.

import Reactor

/// One tunnel. Confined to its loop.
final class Tunnel: ClientStreamUser, Timed {
    var sweepSlot = DeadlineSweep.noSlot
    private let client: any ClientStream
    private let server: Connection
    private let place: PoolView.Place
    /// Of the listener that the client came to.
    private let tally: TrafficTally
    private let listener: ListenerTraits
    /// Where the access log is on: written at the end.
    private let logged: LoggedRequest?
    private let host: BalancerLoop
    private var machine = TunnelStateMachine()

    /// Takes over both connections, which are open and have nothing unread.
    init(of client: ClientConnection, server: UpstreamConnection, logged: LoggedRequest?, host: BalancerLoop) {
        self.client = client.connection
        tally = client.tally
        listener = client.listener
        self.logged = logged
        self.server = server.connection
        self.host = host
        place = server.place
        place.server.exchangeBecameTunnel()
        self.client.handOver(to: self)
        server.detach(to: self)
        host.sweep.add(self, deadline: host.deadline(in: host.times.tunnelIdle))
        host.tunnelOpened(self)
        // Each is read as fast as the other one takes it.
        if self.server.pendingBytes > 0 { self.client.pauseReading() } else { self.client.resumeReading() }
        if self.client.pendingBytes > 0 { self.server.pauseReading() } else { self.server.resumeReading() }
    }

    func leads(to server: PooledServer) -> Bool { place.server === server }

    /// For drains: the client is told by the end of its connection, and comes back elsewhere.
    /// False where it was ending already.
    @discardableResult
    func close() -> Bool {
        let action = machine.closeAsked()
        perform(action)
        return action != .none
    }

    /// Whatever is still on its way is lost.
    func cut() {
        perform(machine.timedOut())
    }

    func deadlinePassed() {
        logged?.cause = .clientTimeout
        perform(machine.timedOut())
    }

    private func touch() {
        host.sweep.set(self, deadline: host.deadline(in: machine.isHalfClosed ? host.times.clientIdle : host.times.tunnelIdle))
    }

    private func perform(_ action: TunnelStateMachine.Action) {
        switch action {
        case .none:
            break
        case .finishSending(let side):
            switch side {
            case .client: client.shutdownOutput()
            case .server: server.shutdownOutput()
            }
            touch()
        case .flushAndClose:
            client.closeWhenFlushed()
            server.closeWhenFlushed()
            // A side that takes nothing any more must not hold the rest for ever.
            host.sweep.set(self, deadline: host.deadline(in: host.times.clientIdle))
        case .closeNow:
            client.close()
            server.close()
            host.sweep.set(self, deadline: DeadlineSweep.never)
        case .release:
            host.sweep.remove(self)
            place.server.tunnelClosed()
            // A stream is none of the listener's connections.
            if client is Connection { tally.add(to: .ended) }
            listener.sessions.change(by: -1)
            host.tunnelClosed()
            if let logged {
                logged.endedAt = MonotonicClock.nanoseconds()
                host.write(logged, to: host.settings.accessLog, server: place.server)
            }
        }
    }

    // MARK: Bytes

    func clientReceived(_ bytes: Span<UInt8>) {
        count(bytes.count, .bytesIn)
        logged?.received += UInt64(bytes.count)
        if written(server.write(bytes)) { client.pauseReading() }
        touch()
    }

    private func serverReceived(_ bytes: Span<UInt8>) {
        count(bytes.count, .bytesOut)
        logged?.sent += UInt64(bytes.count)
        if written(client.write(bytes)) { server.pauseReading() }
        touch()
    }

    private func count(_ bytes: Int, _ item: TrafficItem) {
        place.counts.tally.add(bytes, to: item)
        tally.add(bytes, to: item)
    }

    /// True where the sender has to wait.
    private func written(_ outcome: WriteOutcome) -> Bool {
        switch outcome {
        case .sent: return false
        case .pending: return true
        // Reading was paused, so this is one read more than the buffer allows: it can't be, and isn't worth a byte out of order.
        case .refused: perform(machine.closeAsked())
        // Its own end follows.
        case .closed: break
        }
        return false
    }

    func clientDrained() {
        server.resumeReading()
        touch()
    }

    func clientReachedEnd() {
        perform(machine.reachedEnd(of: .client))
    }

    func clientClosed() {
        perform(machine.closed(.client))
    }

    // MARK: ConnectionHandler, of both sides where the client's is a connection too

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        if connection === server { serverReceived(bytes) } else { clientReceived(bytes) }
    }

    func connectionDrained(_ connection: Connection) {
        guard connection === server else { return clientDrained() }
        client.resumeReading()
        touch()
    }

    func connectionReachedEnd(_ connection: Connection) {
        if connection === server { perform(machine.reachedEnd(of: .server)) } else { clientReachedEnd() }
    }

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        if connection === server { perform(machine.closed(.server)) } else { clientClosed() }
    }
}
