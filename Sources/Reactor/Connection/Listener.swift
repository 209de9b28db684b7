// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV
import Glibc

/// Accepts connections of one listen socket on one loop; confined to the loop.
package final class Listener {
    private let socket: ListenSocket
    private let loop: Loop
    private var poll: PollHandle?
    private let options: ListenerOptions
    private let arrivals: ArrivalQueue
    private let accepted: (Connection) -> Void
    private let failed: (ReactorError) -> Void

    /// `accepted` gets each new connection and starts it, or closes it. `failed` hears of a lack of descriptors, at most ten times a second.
    /// With `options` a client has told who it is and has made its handshake before it is a connection. `isWaiting`: clients stay in the
    /// kernel's queue until `begin`.
    package convenience init(
        _ socket: ListenSocket,
        on loop: Loop,
        options: ListenerOptions = ListenerOptions(),
        isWaiting: Bool = false,
        failed: @escaping (ReactorError) -> Void = { _ in },
        accepted: @escaping (Connection) -> Void
    ) throws(ReactorError) {
        let poll = try PollHandle(descriptor: socket.descriptor.number, on: loop) { _ in }
        self.init(socket, poll, on: loop, options, failed: failed, accepted: accepted)
        if !isWaiting { begin() }
    }

    private init(
        _ socket: ListenSocket,
        _ poll: PollHandle,
        on loop: Loop,
        _ options: ListenerOptions,
        failed: @escaping (ReactorError) -> Void,
        accepted: @escaping (Connection) -> Void
    ) {
        self.socket = socket
        self.loop = loop
        self.options = options
        self.accepted = accepted
        self.failed = failed
        self.poll = poll
        arrivals = ArrivalQueue(options, on: loop, arrived: accepted)
        poll.setReady { [weak self] _ in self?.accept() }
    }

    /// Clients come in from now on.
    package func begin() {
        poll?.watch(.readable)
    }

    /// The same socket with other options, and nothing that could fail: whoever is accepted from now on is the new one's, handshakes under
    /// way go on to their end here. nil where this one is closed.
    package func successor(options: ListenerOptions, accepted: @escaping (Connection) -> Void) -> Listener? {
        guard let poll else { return nil }
        self.poll = nil
        arrivals.outliveListener()
        let next = Listener(socket, poll, on: loop, options, failed: failed, accepted: accepted)
        next.begin()
        return next
    }

    package var address: SocketAddress { socket.address }

    /// Takes no more connections; those accepted live on, handshakes that are under way end. The port is free once the `ListenSocket` is
    /// gone too.
    package func close() {
        poll?.close()
        poll = nil
        arrivals.closeAll()
    }

    /// The same without a loss: who waits to be accepted is taken in first, or at a passed socket left to its next user, and handshakes under
    /// way go on to their end.
    package func closeAfterAccepting() {
        while !socket.isPassed, accept() {}
        poll?.close()
        poll = nil
        arrivals.outliveListener()
    }

    /// True where more may wait.
    @discardableResult
    private func accept() -> Bool {
        // At most 64 a turn, so that a storm of connects cannot starve the sockets that are already open.
        for _ in 0..<64 {
            guard poll != nil else { return false }
            let number = cuv_accept(socket.descriptor.number)
            guard number >= 0 else {
                switch errno {
                case EAGAIN: return false
                case EINTR, ECONNABORTED, EPROTO: continue
                case let number:
                    pause(ReactorError.system("accept a connection", errno: number))
                    return false
                }
            }
            let descriptor = Descriptor(owning: number)
            let remote = descriptor.remoteAddress
            do throws(ReactorError) {
                try receive(descriptor, remote)
            } catch {
                failed(error)
            }
        }
        return true
    }

    private func receive(_ descriptor: consuming Descriptor, _ peer: SocketAddress?) throws(ReactorError) {
        var permit: AnyObject?
        if let prelude = options.prelude {
            guard prelude.trusts(peer) else { return options.turnedAway(.untrusted, peer) }
        } else {
            switch options.admit?(peer) {
            case .refused: return options.turnedAway(.notAdmitted, peer)
            case .admitted(let given): permit = given
            case nil: break
            }
        }
        guard options.tls != nil || options.prelude != nil else {
            let facts = permit.map { ArrivalFacts(peer: peer, permit: $0) }
            accepted(try Connection(descriptor, remote: peer, facts, on: loop))
            return
        }
        if case .unix? = peer {} else { descriptor.setStreamOptions() }
        let deadline = loop.milliseconds + options.timeout.wholeMilliseconds
        arrivals.add(try Arrival(descriptor, peer: peer, permit: permit, options, deadline: deadline, on: loop))
    }

    /// Without a free descriptor the socket stays readable; polling on would burn the loop.
    private func pause(_ error: ReactorError) {
        poll?.watch([])
        failed(error)
        loop.after(.milliseconds(100)) { [weak self] in self?.poll?.watch(.readable) }
    }
}
