// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Tunnels: an upgraded connection's bytes, both ways, unread.
// Flows through: bytes of one side straight from the loop's buffer into the other side's socket; what it refuses waits there, and
//   reading of the first side pauses until it has gone.
// Owner: the loop's sweep holds a tunnel until both of its connections are gone; it owns no buffer.
// Must hold: bytes keep their order; a side that has finished sending may still receive; the server's count falls exactly once.

import Reactor

/// One tunnel. Confined to its loop.
final class Tunnel: ConnectionHandler, Timed {
    var sweepSlot = DeadlineSweep.noSlot
    private let client: Connection
    private let server: Connection
    private let place: PoolView.Place
    private let host: BalancerLoop
    private var machine = TunnelStateMachine()

    /// Takes over both connections, which are open and have nothing unread.
    init(client: Connection, server: UpstreamConnection, host: BalancerLoop) {
        self.client = client
        self.server = server.connection
        self.host = host
        place = server.place
        place.server.tunnelOpened()
        client.replaceHandler(self)
        server.detach(to: self)
        host.sweep.add(self, deadline: host.deadline(in: host.times.tunnelIdle))
        host.tunnelOpened(self)
        balance(client, self.server)
        balance(self.server, client)
    }

    /// For the drain: the client is told by the end of its connection, and comes back elsewhere.
    func close() {
        perform(machine.closeAsked())
    }

    func deadlinePassed() {
        perform(machine.timedOut())
    }

    private func other(_ connection: Connection) -> Connection {
        connection === client ? server : client
    }

    /// Reads from `source` as fast as `target` takes it.
    private func balance(_ source: Connection, _ target: Connection) {
        if target.pendingBytes > 0 { source.pauseReading() } else { source.resumeReading() }
    }

    private func touch() {
        host.sweep.set(self, deadline: host.deadline(in: machine.isHalfClosed ? host.times.clientIdle : host.times.tunnelIdle))
    }

    private func perform(_ action: TunnelStateMachine.Action) {
        switch action {
        case .none:
            break
        case .finishSending(let side):
            (side == .client ? client : server).shutdownOutput()
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
            host.tunnelClosed()
        }
    }

    // MARK: ConnectionHandler

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        let target = other(connection)
        switch target.write(bytes) {
        case .sent: break
        case .pending: connection.pauseReading()
        // Reading was paused, so this is one read more than the buffer allows: it can't be, and isn't worth a byte out of order.
        case .refused: perform(machine.closeAsked())
        // Its own `connectionClosed` follows.
        case .closed: break
        }
        touch()
    }

    func connectionDrained(_ connection: Connection) {
        other(connection).resumeReading()
        touch()
    }

    func connectionReachedEnd(_ connection: Connection) {
        perform(machine.reachedEnd(of: connection === client ? .client : .server))
    }

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        perform(machine.closed(connection === client ? .client : .server))
    }
}
