// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// One accepted socket on its way to being a connection: first its prelude, then its handshake. Confined to its loop; owned by its
/// listener's `ArrivalQueue`. Owns no session before its first byte, so that whoever only connects costs a descriptor and little else.
final class Arrival {
    enum Step {
        case waits
        case finished(Connection)
        case failed(ArrivalFailure)
    }

    let peer: SocketAddress?
    let deadline: UInt64
    var next: Arrival?
    weak var previous: Arrival?
    /// It stands in the queue of those whose socket is ready.
    var isReady = false
    private let options: ListenerOptions
    private let poll: PollHandle
    private var descriptor: Descriptor?
    private var session: TLSSession?
    /// The prelude as far as it has come; nil where none is expected any more.
    private var prelude: [UInt8]?
    private var client: SocketAddress?
    private var permit: AnyObject?

    /// Without a prelude the client must have been admitted.
    init(
        _ descriptor: consuming Descriptor,
        peer: SocketAddress?,
        permit: AnyObject?,
        _ options: ListenerOptions,
        deadline: UInt64,
        on loop: Loop
    ) throws(ReactorError) {
        self.peer = peer
        self.permit = permit
        self.options = options
        self.deadline = deadline
        client = peer
        prelude = options.prelude.map { _ in [] }
        let number = descriptor.number
        self.descriptor = consume descriptor
        poll = try PollHandle(descriptor: number, on: loop) { _ in }
    }

    /// It is neither a connection nor gone.
    var isWaiting: Bool { descriptor != nil }

    func watch(_ ready: @escaping () -> Void) {
        poll.setReady { _ in ready() }
        poll.watch(.readable)
    }

    /// Goes as far as it can without waiting.
    func advance() -> Step {
        if prelude != nil {
            switch readPrelude() {
            case .incomplete:
                poll.watch(.readable)
                return .waits
            case .complete: break
            case .failed(let failure): return .failed(failure)
            }
        }
        guard let identity = options.tls else { return .finished(connection()) }
        do throws(ReactorError) {
            if session == nil { session = try TLSSession(accepting: identity.current, descriptor: number, peer: "a client") }
            switch session?.shakeHands() {
            case .finished, nil:
                return .finished(connection())
            case .waits(let events):
                poll.watch(events)
                return .waits
            case .failed(let error):
                return .failed(.failed(error))
            }
        } catch {
            return .failed(.failed(error))
        }
    }

    /// Only after its `finished`, or never.
    func close() {
        guard descriptor != nil else { return }
        poll.close()
        session = nil
        // An alert that is on its way would be overtaken by a reset if something unread were left.
        _ = shutdown(number, Int32(SHUT_WR))
        _ = recv(number, poll.loop.readBuffer.baseAddress, poll.loop.readBuffer.count, 0)
        descriptor = nil
        permit = nil
    }

    private var number: Int32 {
        switch descriptor {
        case .some(let descriptor): descriptor.number
        case .none: -1
        }
    }

    private func connection() -> Connection {
        guard let descriptor = descriptor.take() else { preconditionFailure("an arrival ends once") }
        let facts = client == peer && permit == nil ? nil : ArrivalFacts(peer: peer, permit: permit)
        poll.watch([])
        return Connection(descriptor, session.take(), poll, remote: client, facts)
    }

    // MARK: Prelude

    private enum PreludeStep {
        case incomplete
        case complete
        case failed(ArrivalFailure)
    }

    /// Looks first and takes afterwards: what stands behind the header is TLS's, or the handler's.
    private func readPrelude() -> PreludeStep {
        guard let rules = options.prelude, var bytes = prelude else { return .complete }
        let buffer = poll.loop.readBuffer
        let before = bytes.count
        let count = recv(number, buffer.baseAddress, min(rules.limit + 1 - before, buffer.count), Int32(MSG_PEEK))
        guard count > 0 else {
            if count < 0, errno == EAGAIN || errno == EINTR { return .incomplete }
            return .failed(.failed(ReactorError(.connectionReset, "a peer left before its header was complete")))
        }
        bytes += buffer[..<count]
        switch rules.read(bytes.span) {
        case .incomplete:
            guard bytes.count <= rules.limit else { return .failed(.invalidPrelude) }
            // Taken from the socket, or it would stay readable.
            take(count)
            prelude = bytes
            return .incomplete
        case .complete(let length, let named):
            guard (before...bytes.count).contains(length) else { return .failed(.invalidPrelude) }
            take(length - before)
            prelude = nil
            client = named ?? peer
            return admit()
        case .refused:
            return .failed(.invalidPrelude)
        }
    }

    private func take(_ count: Int) {
        _ = recv(number, poll.loop.readBuffer.baseAddress, count, 0)
    }

    private func admit() -> PreludeStep {
        switch options.admit?(client) {
        case .refused: return .failed(.notAdmitted)
        case .admitted(let permit): self.permit = permit
        case nil: break
        }
        return .complete
    }
}
