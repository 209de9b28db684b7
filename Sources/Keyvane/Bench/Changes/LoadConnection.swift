// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// One connection over which changes are handed to a server; what it answers says nothing that the sockets don't. Confined to its loop.
final class LoadConnection: ConnectionHandler {
    private var connection: Connection?
    /// Until the connection is there.
    private var waiting: [UInt8]

    init(port: UInt16, greeting: [UInt8], on loop: Loop) {
        waiting = greeting
        Connector.connect(to: Endpoint(host: "127.0.0.1", port: port), on: loop, timeout: .seconds(5)) { [self] result in
            guard let connection = try? result.get() else { BenchExit.fail("no connection to hand changes over") }
            self.connection = connection
            connection.start(self)
            connection.write(waiting)
            waiting = []
        }
    }

    func write(_ bytes: [UInt8]) {
        if let connection { connection.write(bytes) } else { waiting += bytes }
    }

    // MARK: ConnectionHandler

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {}

    func connectionDrained(_ connection: Connection) {}

    func connectionReachedEnd(_ connection: Connection) {
        BenchExit.fail("the server closed the connection that hands changes over")
    }

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        if reason != .local { BenchExit.fail("the connection that hands changes over broke") }
    }
}
