// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport

/// The peer of the TLS tests is a Redis: whatever OpenSSL's other side can do, it does, and it repeats what one sends.
struct TLSPeer: Sendable {
    let redis: RedisProcess
    let port: UInt16
    let certificates: TestCertificates
    let loop: Loop

    /// A connection with a finished handshake, or why there is none. By default it trusts the right authority.
    func connect(
        to host: String = "127.0.0.1",
        trusting authority: String? = nil,
        as client: TestCertificates.Name? = nil,
        timeout: Duration = .seconds(60)
    ) async throws -> Result<TLSClientSide, ReactorError> {
        let context = try TLSContext(
            authorities: authority ?? certificates.authority,
            certificate: client.map(certificates.certificate),
            key: client.map(certificates.key)
        )
        return try await connect(Endpoint(host: host, port: port), context, timeout: timeout)
    }

    func connect(_ endpoint: Endpoint, _ context: TLSContext, timeout: Duration) async throws -> Result<TLSClientSide, ReactorError> {
        let loop = loop
        let results = Events<Result<TLSClientSide, ReactorError>>()
        loop.post {
            Connector.connect(to: endpoint, tls: context, on: loop, timeout: timeout) { result in
                results.emit(result.map { TLSClientSide($0, on: loop) })
            }
        }
        return try await results.first()
    }
}

/// Stands before the peer and passes on what it can't read: for what our end sends, and how it ends.
///
/// Unchecked: everything but `events` is touched on the loop only.
final class TLSRelay: ConnectionHandler, @unchecked Sendable {
    enum Event: Hashable, Sendable {
        case sent
        case end
        case closed(CloseReason)
    }

    let endpoint: Endpoint
    let events = Events<Event>()
    private var listener: Listener?
    private var near: Connection?
    private var far: Connection?
    private let piece: Int

    /// To be made on the loop. For one connection. What the near side sends goes on in pieces of this size, one a turn.
    init(to peer: Endpoint, piece: Int = .max, on loop: Loop) throws {
        self.piece = piece
        let socket = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
        endpoint = Endpoint(socket.address)
        listener = try Listener(socket, on: loop) { [weak self] near in
            Connector.connect(to: peer, on: loop, timeout: .seconds(60)) { result in
                guard let self, let far = try? result.get() else { return near.abort() }
                (self.near, self.far) = (near, far)
                far.start(self)
                near.start(self)
            }
        }
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        if connection === near { events.emit(.sent) }
        guard connection === near, piece < bytes.count else {
            (connection === near ? far : near)?.write(bytes)
            return
        }
        connection.pauseReading()
        passOn(bytes.withUnsafeBufferPointer { Array($0) })
    }

    private func passOn(_ bytes: [UInt8]) {
        far?.write(Array(bytes.prefix(piece)))
        let rest = Array(bytes.dropFirst(piece))
        guard !rest.isEmpty else {
            near?.resumeReading()
            return
        }
        near?.loop.defer { [self] in passOn(rest) }
    }

    func connectionReachedEnd(_ connection: Connection) {
        if connection === near { events.emit(.end) }
        connection.close()
    }

    func connectionDrained(_ connection: Connection) {}

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        guard connection === near else { return }
        listener?.close()
        far?.close()
        events.emit(.closed(reason))
    }
}

func withTLSPeer<Value>(
    _ name: TestCertificates.Name = .server,
    verifies: Bool = false,
    arguments: [String] = [],
    _ body: (TLSPeer) async throws -> Value
) async throws -> Value {
    try await withCertificates { certificates in
        let port = try RedisProcess.freePort()
        return try await withRedis(arguments: certificates.redis(port: port, name, verifies: verifies) + arguments) { redis in
            try await LoopGroup.withLoops(count: 1) { group in
                try await body(TLSPeer(redis: redis, port: port, certificates: certificates, loop: group.loops[0]))
            }
        }
    }
}

/// Our end: sends a stream piece by piece as the connection takes it, and keeps what comes.
///
/// Unchecked: everything but `events` is touched on the loop only.
final class TLSClientSide: ConnectionHandler, @unchecked Sendable {
    enum Event: Hashable, Sendable {
        case received(Int)
        case end
        case drained
        case closed(CloseReason)
    }

    let loop: Loop
    let connection: Connection
    let events = Events<Event>()
    private(set) var received: [UInt8] = []
    private var outgoing: [UInt8] = []
    private var sent = 0

    init(_ connection: Connection, on loop: Loop) {
        self.connection = connection
        self.loop = loop
        connection.start(self)
    }

    /// From here on with `writeSome`, in pieces that are cut anew after each refusal.
    func stream(_ bytes: [UInt8]) {
        loop.post { [self] in
            outgoing = bytes
            sent = 0
            pump()
        }
    }

    private func pump() {
        while sent < outgoing.count {
            let end = min(sent + 50_000 + sent % 977, outgoing.count)
            guard let count = connection.writeSome(outgoing.span.extracting(sent..<end)), count > 0 else { return }
            sent += count
        }
    }

    func bytes(_ count: Int) async throws -> [UInt8] {
        try await events.until("\(count) bytes") { events in
            events.reduce(0) { if case .received(let more) = $1 { $0 + more } else { $0 } } >= count
        }
        return try await loop.run { [self] in received }
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        bytes.withUnsafeBufferPointer { received.append(contentsOf: $0) }
        events.emit(.received(bytes.count))
    }

    func connectionReachedEnd(_ connection: Connection) { events.emit(.end) }

    func connectionDrained(_ connection: Connection) {
        events.emit(.drained)
        pump()
    }

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) { events.emit(.closed(reason)) }
}
