// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport

enum NSTemporary {
    /// A folder of this test process, short enough for a Unix socket's path.
    static let path: String = {
        let path = "/tmp/kv-reactor-\(getpid())"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }()
}

/// Sends everything back; closes once the peer has finished and everything is flushed.
private final class Echo: ConnectionHandler {
    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        if case .pending = connection.write(bytes) { connection.pauseReading() }
    }

    func connectionReachedEnd(_ connection: Connection) { connection.closeWhenFlushed() }
    func connectionDrained(_ connection: Connection) { connection.resumeReading() }
    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {}
}

/// The client of an echo listener: keeps what comes back.
final class EchoClient: ConnectionHandler, @unchecked Sendable {
    // Unchecked: everything but `events` is touched on the loop only.
    enum Event: Sendable {
        case bytes(Int)
        case closed
    }

    private let loop: Loop
    private let events = Events<Event>()
    private var connection: Connection?
    private var received: [UInt8] = []
    private var outgoing: [UInt8] = []
    private var sent = 0

    init(loop: Loop) { self.loop = loop }

    func start(_ connection: Connection) {
        self.connection = connection
        connection.start(self)
    }

    func send(_ bytes: [UInt8]) {
        loop.post { [self] in
            outgoing = bytes
            sent = 0
            pump()
        }
    }

    private func pump() {
        while sent < outgoing.count, let connection {
            let end = min(sent + 200_000, outgoing.count)
            guard let count = connection.writeSome(outgoing.span.extracting(sent..<end)), count > 0 else { return }
            sent += count
        }
    }

    func shutdown() {
        loop.post { [self] in connection?.shutdownOutput() }
    }

    func bytes(count: Int) async throws -> [UInt8] {
        try await events.until("\(count) bytes") { events in
            events.reduce(0) { if case .bytes(let more) = $1 { $0 + more } else { $0 } } >= count
        }
        return try await loop.run { [self] in received }
    }

    func closed() async throws {
        try await events.until("the close") { $0.contains { if case .closed = $0 { true } else { false } } }
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        bytes.withUnsafeBufferPointer { received.append(contentsOf: $0) }
        events.emit(.bytes(bytes.count))
    }

    func connectionReachedEnd(_ connection: Connection) { connection.close() }
    func connectionDrained(_ connection: Connection) { pump() }
    func connectionClosed(_ connection: Connection, _ reason: CloseReason) { events.emit(.closed) }
}

/// An echo listener on one loop, its client on another.
func withEchoPair(_ address: String, _ body: (EchoClient) async throws -> Void) async throws {
    try await LoopGroup.withLoops(count: 2) { group in
        let sockets = try ListenSocket.open(try Endpoint(parsing: address))
        let (server, loop) = (group.loops[0], group.loops[1])
        try await server.run {
            // The poll's callback keeps only a weak reference, so the loop's timer keeps the listener.
            let listener = try Listener(sockets[0], on: server) { $0.start(Echo()) }
            server.after(.seconds(3600)) { listener.close() }
        }
        let client = EchoClient(loop: loop)
        let connected = Events<Result<Bool, ReactorError>>()
        loop.post {
            Connector.connect(to: Endpoint(sockets[0].address), on: loop, timeout: .seconds(60)) { result in
                if case .success(let connection) = result { client.start(connection) }
                connected.emit(result.map { _ in true })
            }
        }
        _ = try await connected.first().get()
        try await body(client)
    }
}

/// Reports what its connection does.
final class Recorder: ConnectionHandler, Sendable {
    enum Event: Hashable, Sendable {
        case received(Int)
        case end
        case drained
        case closed(CloseReason)
    }

    let events = Events<Event>()
    let peer: RawSocket

    init(peer: RawSocket) { self.peer = peer }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) { events.emit(.received(bytes.count)) }
    func connectionReachedEnd(_ connection: Connection) { events.emit(.end) }
    func connectionDrained(_ connection: Connection) { events.emit(.drained) }
    func connectionClosed(_ connection: Connection, _ reason: CloseReason) { events.emit(.closed(reason)) }
}

/// One accepted connection whose peer does nothing of its own.
func withStalledPeer(_ body: (Loop, LoopBound<Connection>, Recorder) async throws -> Void) async throws {
    try await LoopGroup.withLoops(count: 1) { group in
        let loop = group.loops[0]
        let socket = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
        let accepted = Events<LoopBound<Connection>>()
        try await loop.run {
            let listener = try Listener(socket, on: loop) { accepted.emit(LoopBound($0, loop: loop)) }
            loop.after(.seconds(3600)) { listener.close() }
        }
        let recorder = Recorder(peer: try RawSocket(port: socket.address.port ?? 0))
        let connection = try await accepted.first()
        try await loop.run { connection.value.start(recorder) }
        try await body(loop, connection, recorder)
    }
}
