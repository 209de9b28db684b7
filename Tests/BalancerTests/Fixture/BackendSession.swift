// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport
import Wire

/// One connection of a scripted server. Confined to its loop.
final class BackendSession: ConnectionHandler {
    let connection: Connection
    private let backend: TestBackend
    private let number: Int
    private var input: [UInt8] = []
    private var parser = RequestHeadParser()
    private var head: BackendRequest?
    private var body = BodyParser.none
    private var content: [UInt8] = []
    /// A request waits for its answer.
    var isHolding = false
    private var isTunnel = false
    private var frames: WebSocketParser?
    /// Bytes of a stream that have not left yet.
    private(set) var unstreamed = 0
    private var chunk = [UInt8](repeating: 0x78, count: 64 * 1024)

    init(_ backend: TestBackend, _ connection: Connection, number: Int) {
        self.backend = backend
        self.connection = connection
        self.number = number
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        if isTunnel {
            echo(bytes)
            return
        }
        input.append(bytes)
        do throws(HTTPFault) {
            while try step() {}
        } catch {
            backend.faults.emit(error.code)
            connection.close()
        }
    }

    private func step() throws(HTTPFault) -> Bool {
        guard !isTunnel, !input.isEmpty else { return false }
        guard let head else {
            let held = input
            guard case .complete(let length) = try parser.parse(held.span) else { return false }
            let parsed = parser.head
            let request = request(parsed, length: length)
            body = BodyParser(parsed.framing)
            input.removeFirst(length)
            content = []
            if backend.answersEarly { perform(backend.action(for: request), request) }
            self.head = request
            if body.isComplete { finish(request) }
            return true
        }
        let (held, before) = (input, content.count)
        let progress = try body.parse(held.span) { self.content += held[$0] }
        precondition(content.count >= before)
        guard case .complete(let used) = progress else {
            input = []
            return false
        }
        input.removeFirst(used)
        finish(head)
        return true
    }

    private func request(_ parsed: RequestHead, length: Int) -> BackendRequest {
        let input = input
        return BackendRequest(
            method: input.span.string(parsed.methodRange),
            target: input.span.string(parsed.target),
            fields: parsed.fields.map { (input.span.string($0.name), input.span.string($0.value)) },
            body: [],
            head: String(decoding: input[..<length], as: UTF8.self),
            connection: number
        )
    }

    private func finish(_ head: BackendRequest) {
        self.head = nil
        guard !backend.answersEarly else { return }
        let whole = BackendRequest(
            method: head.method,
            target: head.target,
            fields: head.fields,
            body: content,
            trailers: trailers,
            head: head.head,
            connection: number
        )
        perform(backend.action(for: whole), whole)
    }

    private var trailers: [(name: String, value: String)] {
        guard case .chunked(let parser) = body, let (fields, bytes) = parser.trailerFields else { return [] }
        return fields.map { (bytes.span.string($0.name), bytes.span.string($0.value)) }
    }

    private func perform(_ action: BackendAction, _ request: BackendRequest) {
        switch action {
        case .send(let text):
            connection.write(Array(text.utf8))
        case .sendThenClose(let text):
            connection.write(Array(text.utf8))
            connection.closeWhenFlushed()
        case .sendThenReset(let text):
            connection.write(Array(text.utf8))
            connection.abort()
        case .close:
            connection.close()
        case .reset:
            connection.abort()
        case .silence:
            isHolding = true
        case .tunnel(let greeting, let accept):
            isTunnel = true
            let key = Array((request.value("sec-websocket-key") ?? "").utf8)
            connection.write(WebSocketHandshake.response(accept: accept ?? WebSocketHandshake.accept(for: key.span)) + Array(greeting.utf8))
            let early = input
            input = []
            if !early.isEmpty { echo(early.span) }
        case .gateway:
            isTunnel = true
            frames = WebSocketParser(role: .server, maximumMessage: 1024)
            let key = Array((request.value("sec-websocket-key") ?? "").utf8)
            connection.write(WebSocketHandshake.response(accept: WebSocketHandshake.accept(for: key.span)))
        case .stream(let count):
            stream(count)
        case .noise(let count):
            var generator = SeededGenerator(seed: 1)
            chunk = chunk.map { _ in UInt8.random(in: 0...255, using: &generator) }
            stream(count)
        }
    }

    private func stream(_ count: Int) {
        unstreamed = count
        connection.write(Array("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: \(count)\r\n\r\n".utf8))
        pump()
    }

    private func pump() {
        while unstreamed > 0, connection.pendingBytes == 0 {
            let count = min(unstreamed, chunk.count)
            unstreamed -= count
            connection.write(chunk.span.extracting(..<count))
        }
    }

    private func echo(_ bytes: Span<UInt8>) {
        if frames != nil {
            var answer: [UInt8] = []
            try? frames?.feed(bytes) { event, payload in
                if event == .ping { WebSocketFrame.append(.pong, payload, to: &answer) }
            }
            connection.write(answer)
            return
        }
        if case .pending = connection.write(bytes) { connection.pauseReading() }
    }

    func connectionReachedEnd(_ connection: Connection) {
        connection.closeWhenFlushed()
    }

    func connectionDrained(_ connection: Connection) {
        connection.resumeReading()
        pump()
    }

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        backend.ended(self, reason)
    }
}
