// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Synchronization
import TestSupport
import Wire

/// A client that sends exactly what a test says and awaits answers with a deadline.
///
/// Unchecked: `connection` is touched on the loop only, `received` is guarded by its mutex.
final class TestClient: ConnectionHandler, @unchecked Sendable {
    private enum Event: Sendable {
        case bytes
        case end
        case closed(CloseReason)
    }

    private let loop: Loop
    private var connection: Connection?
    private let events = Events<Event>()
    private let received = Mutex<[UInt8]>([])

    private init(loop: Loop) {
        self.loop = loop
    }

    static func connect(to address: SocketAddress, on loop: Loop, sending first: [UInt8] = []) async throws -> TestClient {
        let connected = Events<Bool>()
        let client = TestClient(loop: loop)
        loop.post {
            Connector.connect(to: Endpoint(address), on: loop, timeout: .seconds(60)) { result in
                if case .success(let connection) = result {
                    client.connection = connection
                    connection.pendingLimit = 256 << 20
                    connection.start(client)
                    if !first.isEmpty { connection.write(first) }
                    connected.emit(true)
                } else {
                    connected.emit(false)
                }
            }
        }
        guard try await connected.first("a connect") else { throw DeadlinePassed("connect to \(address)") }
        return client
    }

    func send(_ text: String) { send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) {
        loop.post { self.connection?.write(bytes) }
    }

    /// Until the connection ends.
    func send(_ text: String, every interval: Duration) {
        loop.post {
            guard let connection = self.connection, connection.isOpen else { return }
            connection.write(Array(text.utf8))
            self.loop.after(interval) { self.send(text, every: interval) }
        }
    }

    func finishSending() { loop.post { self.connection?.shutdownOutput() } }
    func reset() { loop.post { self.connection?.abort() } }
    func close() { loop.post { self.connection?.close() } }
    func pauseReading() async throws { try await loop.run { self.connection?.pauseReading() } }
    func resumeReading() { loop.post { self.connection?.resumeReading() } }

    /// What has come and was not taken yet.
    var unread: [UInt8] { received.withLock { $0 } }

    /// Waits until the unread bytes give a value, and removes as many as it says.
    func take<Value: Sendable>(_ what: String, _ body: @escaping @Sendable ([UInt8]) -> (value: Value, used: Int)?) async throws -> Value {
        _ = try await events.until(what) { [self] events in
            if body(unread) != nil { return true }
            return events.contains { if case .bytes = $0 { false } else { true } }
        }
        guard let (value, used) = body(unread) else {
            throw DeadlinePassed("\(what): the connection ended after \(String(decoding: unread, as: UTF8.self).debugDescription)")
        }
        received.withLock { $0.removeFirst(used) }
        return value
    }

    /// The next response, interim ones included.
    func response(to method: HTTPMethod = .get) async throws -> TestResponse {
        try await take("a response") { TestResponse.read($0, method: method) }
    }

    func request(_ text: String, method: HTTPMethod = .get) async throws -> TestResponse {
        send(text)
        return try await response(to: method)
    }

    func bytes(_ count: Int) async throws -> [UInt8] {
        try await take("\(count) bytes") { $0.count >= count ? (Array($0.prefix(count)), count) : nil }
    }

    /// Waits for the end of the stream, in order or not, and returns what had come.
    @discardableResult
    func untilEnd() async throws -> [UInt8] {
        _ = try await events.until("the end") { $0.contains { if case .bytes = $0 { false } else { true } } }
        return unread
    }

    /// Was the connection reset rather than ended?
    func wasReset() async throws -> Bool {
        let all = try await events.until("the end") { $0.contains { if case .bytes = $0 { false } else { true } } }
        return all.contains { if case .closed(.reset) = $0 { true } else { false } }
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        let copy = bytes.array()
        received.withLock { $0 += copy }
        events.emit(.bytes)
    }

    func connectionReachedEnd(_ connection: Connection) { events.emit(.end) }
    func connectionDrained(_ connection: Connection) {}
    func connectionClosed(_ connection: Connection, _ reason: CloseReason) { events.emit(.closed(reason)) }
}

/// One response as a strict client reads it.
struct TestResponse: Sendable {
    let status: Int
    let fields: [(name: String, value: String)]
    let body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    func values(_ name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    func value(_ name: String) -> String? { values(name).first }

    /// The text of the cookie of this name that the response sets.
    func cookie(_ name: String) -> String? {
        values("set-cookie").first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1).prefix { $0 != ";" }) }
    }

    /// nil while it is incomplete, and for ever where it is none. Bodies that end with the connection are left unread.
    static func read(_ bytes: [UInt8], method: HTTPMethod) -> (value: TestResponse, used: Int)? {
        var parser = ResponseHeadParser()
        guard case .complete(let length)? = try? parser.parse(bytes.span) else { return nil }
        let head = parser.head
        let fields = head.fields.map { (bytes.span.string($0.name), bytes.span.string($0.value)) }
        let framing = head.framing(for: method)
        var content: [UInt8] = []
        var used = length
        var body = BodyParser(framing)
        if framing != .untilClose, !body.isComplete {
            let rest = Array(bytes[length...])
            guard case .complete(let consumed)? = try? body.parse(rest.span, content: { content += rest[$0] }) else { return nil }
            used += consumed
        }
        return (TestResponse(status: head.status, fields: fields, body: content), used)
    }
}
