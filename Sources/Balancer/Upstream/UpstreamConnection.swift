// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// The side of an exchange that faces the server.
protocol UpstreamUser: AnyObject {
    func upstream(_ upstream: UpstreamConnection, received bytes: Span<UInt8>)
    func upstreamDrained(_ upstream: UpstreamConnection)
    /// The server hung up: in order, or with a reset. It won't say anything more; the user closes its end.
    func upstreamEnded(_ upstream: UpstreamConnection, isClean: Bool)
}

/// One connection to a server, in use or idle. Confined to its loop.
final class UpstreamConnection: ConnectionHandler, Timed {
    let connection: Connection
    let place: PoolView.Place
    private let transport: ServerTransport
    /// It has carried an exchange before, so its server may be hanging up on it right now.
    private(set) var isReused = false
    var sweepSlot = DeadlineSweep.noSlot
    private let host: BalancerLoop
    private var user: (any UpstreamUser)?

    /// A connection that was just made; `user` has it.
    init(_ connection: Connection, place: PoolView.Place, over transport: ServerTransport, host: BalancerLoop, user: any UpstreamUser) {
        self.connection = connection
        self.place = place
        self.transport = transport
        self.host = host
        self.user = user
        connection.start(self)
    }

    /// Taken out of the idle ones. False: it is gone already.
    func reuse(by user: any UpstreamUser) -> Bool {
        host.sweep.remove(self)
        guard connection.isOpen else { return false }
        isReused = true
        self.user = user
        return true
    }

    /// The exchange is over, and the connection is in order: it waits for the next one.
    func rest() {
        user = nil
        guard connection.isOpen, transport === place.transport, place.idle.keep(self) else {
            close()
            return
        }
        connection.resumeReading()
        host.sweep.add(self, deadline: host.deadline(in: place.idle.isOverfull ? host.times.surplusIdle : host.times.serverIdle))
    }

    /// Ends it; the user hears nothing more.
    func close() {
        user = nil
        host.sweep.remove(self)
        connection.close()
    }

    /// The tunnel that takes the connection over hears of it from now on.
    func detach(to handler: any ConnectionHandler) {
        user = nil
        connection.replaceHandler(handler)
    }

    func deadlinePassed() {
        place.idle.remove(self)
        close()
    }

    // MARK: ConnectionHandler

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        guard let user else {
            // Nobody asked: it is a late answer, or a server that says good-bye.
            deadlinePassed()
            return
        }
        user.upstream(self, received: bytes)
    }

    func connectionReachedEnd(_ connection: Connection) {
        guard let user else {
            deadlinePassed()
            return
        }
        user.upstreamEnded(self, isClean: true)
    }

    func connectionDrained(_ connection: Connection) {
        user?.upstreamDrained(self)
    }

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        // With TLS 1.3 a server refuses our certificate after the handshake.
        if case .failed(let error) = reason { place.tellOfTLS(error, host) }
        guard let user else {
            place.idle.remove(self)
            host.sweep.remove(self)
            return
        }
        user.upstreamEnded(self, isClean: false)
    }
}
