// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import Synchronization
import TestSupport
import Wire

/// A request as a strict server reads it.
struct BackendRequest: Sendable {
    let method: String
    let target: String
    let fields: [(name: String, value: String)]
    /// Decoded; empty where the backend was asked at the head.
    let body: [UInt8]
    /// Behind a chunked body.
    var trailers: [(name: String, value: String)] = []
    /// The head as it came.
    let head: String
    /// Counts the backend's connections.
    let connection: Int

    func values(_ name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    func value(_ name: String) -> String? { values(name).first }
}

/// What a scripted server does with a request.
enum BackendAction: Sendable {
    /// Sends these bytes as they are; the connection stays.
    case send(String)
    case sendThenClose(String)
    case sendThenReset(String)
    case close
    case reset
    case silence
    /// A 101 for the request's key, then these bytes, then everything is sent back.
    case tunnel(greeting: String = "", accept: String? = nil)
    /// A 101 for the request's key, then a pong for every ping.
    case gateway
    /// A 200 with this many bytes, as fast as the socket takes them.
    case stream(Int)
    /// The same as text that can't be compressed.
    case noise(Int)

    static func ok(_ body: String = "ok", fields: String = "") -> BackendAction {
        .send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)")
    }
}

/// A scripted server: parses strictly, records what it is asked, answers as told; `/readyz` is answered by `health` and not recorded.
///
/// Unchecked: what is mutable is confined to the loop, or guarded by its mutex.
final class TestBackend: @unchecked Sendable {
    enum Health: Sendable {
        case up, down, draining
        /// Takes the request and says nothing.
        case hanging
        case resetting
    }

    typealias Script = @Sendable (BackendRequest) -> BackendAction

    let name: String
    let requests = Events<BackendRequest>()
    /// Faults of forwarded bytes: any is a defect.
    let faults = Events<String>()
    let closures = Events<CloseReason>()
    let checks = Events<Health>()
    /// Answers at the head, without waiting for the body.
    let answersEarly: Bool
    /// Its clients must make a handshake.
    let tls: TLSServerIdentity?
    private let loop: Loop
    private let script: Mutex<Script>
    private let health = Mutex(Health.up)
    private var listener: Listener?
    private var sessions: [ObjectIdentifier: BackendSession] = [:]
    private var accepted = 0
    private var boundAddress: SocketAddress?

    init(_ name: String, on loop: Loop, answersEarly: Bool = false, tls: TLSServerIdentity? = nil, _ script: @escaping Script) {
        self.name = name
        self.loop = loop
        self.answersEarly = answersEarly
        self.tls = tls
        self.script = Mutex(script)
    }

    /// Listens, on the same port as before where it has had one.
    func start() async throws {
        try await loop.run { [self] in
            let endpoint = boundAddress.map { Endpoint($0) } ?? Endpoint(host: LoopbackHost.fresh(), port: 0)
            let socket = try ListenSocket.open(endpoint)[0]
            boundAddress = socket.address
            var options = ListenerOptions()
            options.tls = tls
            listener = try Listener(socket, on: loop, options: options) { [self] connection in
                accepted += 1
                let session = BackendSession(self, connection, number: accepted)
                sessions[ObjectIdentifier(session)] = session
                connection.start(session)
            }
        }
    }

    /// As `kill -9` would: the port refuses, every connection is reset.
    func kill() async throws {
        try await loop.run { [self] in
            listener?.close()
            listener = nil
            for session in sessions.values { session.connection.abort() }
            sessions = [:]
        }
    }

    /// FIN on every connection; the port goes on accepting.
    func closeConnections() async throws {
        try await loop.run { [self] in
            for session in sessions.values { session.connection.close() }
        }
    }

    /// Stops or goes on reading, on every connection.
    func setReading(_ reads: Bool) async throws {
        try await loop.run { [self] in
            for session in sessions.values { reads ? session.connection.resumeReading() : session.connection.pauseReading() }
        }
    }

    /// Answers the requests that were met with silence, and no others: on an idle connection it would be taken for the next one's answer.
    func answerHeld(_ text: String) async throws {
        try await loop.run { [self] in
            for session in sessions.values where session.isHolding {
                session.isHolding = false
                session.connection.write(Array(text.utf8))
            }
        }
    }

    /// Sends on every connection that is open.
    func push(_ text: String) async throws {
        try await loop.run { [self] in
            for session in sessions.values { session.connection.write(Array(text.utf8)) }
        }
    }

    var connectionCount: Int {
        get async throws { try await loop.run { self.accepted } }
    }

    /// What streams have still to send.
    var unstreamed: Int {
        get async throws { try await loop.run { self.sessions.values.reduce(0) { $0 + $1.unstreamed } } }
    }

    var endpoint: Endpoint {
        get async throws { try await loop.run { self.boundAddress.map { Endpoint($0) } ?? Endpoint(host: "127.0.0.1", port: 0) } }
    }

    func become(_ health: Health) { self.health.withLock { $0 = health } }
    func become(_ script: @escaping Script) { self.script.withLock { $0 = script } }

    func action(for request: BackendRequest) -> BackendAction {
        guard request.target == "/readyz" else {
            requests.emit(request)
            return script.withLock { $0 }(request)
        }
        let health = health.withLock { $0 }
        checks.emit(health)
        switch health {
        case .up: return .ok()
        case .down: return .send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        case .hanging: return .silence
        case .resetting: return .reset
        case .draining: return .send("HTTP/1.1 503 Service Unavailable\r\nKeyvane-State: draining\r\nContent-Length: 0\r\n\r\n")
        }
    }

    func ended(_ session: BackendSession, _ reason: CloseReason) {
        sessions[ObjectIdentifier(session)] = nil
        closures.emit(reason)
    }
}
