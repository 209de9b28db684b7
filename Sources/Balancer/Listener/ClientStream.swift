// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// The client's side of exchanges and tunnels: bytes of HTTP/1.1 or of a WebSocket, both ways. A TCP connection is one; so is a stream of
/// an HTTP/2 connection, which carries one request and is translated. Whoever serves a client need not know which. Confined to its loop.
protocol ClientStream: AnyObject {
    var remoteAddress: SocketAddress? { get }
    var isOpen: Bool { get }
    /// Bytes that wait for the client; `clientDrained` follows when there are none any more.
    var pendingBytes: Int { get }

    /// The user hears of everything that comes from now on; the stream keeps it until its end.
    func begin(_ user: any ClientStreamUser)
    /// Another user takes over; the old one hears nothing more.
    func handOver(to user: any ClientStreamUser)

    @discardableResult
    func write(_ bytes: Span<UInt8>) -> WriteOutcome
    func pauseReading()
    func resumeReading()
    func shutdownOutput()
    func closeWhenFlushed()
    func close()
    /// Ends it so that the client learns that what it got is incomplete.
    func abort()
}

extension ClientStream {
    @discardableResult
    func write(_ bytes: [UInt8]) -> WriteOutcome {
        write(bytes.span)
    }
}

/// Who serves a client. The calls mean what those of `ConnectionHandler` mean.
protocol ClientStreamUser: ConnectionHandler {
    func clientReceived(_ bytes: Span<UInt8>)
    func clientReachedEnd()
    func clientDrained()
    func clientClosed()
}

/// Of users that have no other connection than the client's.
extension ClientStreamUser {
    func connection(_ connection: Connection, received bytes: Span<UInt8>) { clientReceived(bytes) }
    func connectionReachedEnd(_ connection: Connection) { clientReachedEnd() }
    func connectionDrained(_ connection: Connection) { clientDrained() }
    func connectionClosed(_ connection: Connection, _ reason: CloseReason) { clientClosed() }
}

extension Connection: ClientStream {
    func begin(_ user: any ClientStreamUser) { start(user) }
    func handOver(to user: any ClientStreamUser) { replaceHandler(user) }
}
