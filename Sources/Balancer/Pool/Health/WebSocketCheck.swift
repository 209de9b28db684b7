// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// The second half of a check where the pool asks for it: a real upgrade and a ping, which must be answered. What a gateway pushes
/// meanwhile is of no interest. Confined to the control loop; `done` is called once, or never after `cancel`.
final class WebSocketCheck: ServerCheck, ConnectionHandler {
    private enum Phase {
        case head
        case pong
    }

    private static let ping: [UInt8] = Array("keyvane".utf8)
    /// What may come before the pong in one message.
    private static let maximumMessage = 16 << 20

    private let key: String
    private let request: [UInt8]
    private var phase = Phase.head
    private var connector: Connector?
    private var connection: Connection?
    private var deadline: LoopTimer?
    private var answer: [UInt8] = []
    private var head = ResponseHeadParser()
    private var frames = WebSocketParser(role: .client, maximumMessage: WebSocketCheck.maximumMessage)
    private var done: ((CheckOutcome) -> Void)?

    /// `token` goes along as the bearer of the upgrade.
    init(
        _ endpoint: Endpoint,
        path: String,
        token: String?,
        timeout: Duration,
        over transport: ServerTransport,
        on loop: Loop,
        done: @escaping (CheckOutcome) -> Void
    ) {
        self.done = done
        key = WebSocketHandshake.key((.random(in: 0 ... .max), .random(in: 0 ... .max)))
        let fields = [("User-Agent", HealthCheck.agent)] + (token.map { [("Authorization", "Bearer \($0)")] } ?? [])
        request = WebSocketHandshake.request(target: path, host: HealthCheck.hostField(of: endpoint), key: key, extraFields: fields)
        deadline = loop.after(timeout) { [weak self] in self?.finish(.failed("no answer to the WebSocket ping in time")) }
        connector = transport.connect(to: endpoint, on: loop, timeout: timeout) { [weak self] result in self?.connected(result) }
    }

    func cancel() {
        done = nil
        release()
    }

    private func connected(_ result: Result<Connection, ReactorError>) {
        connector = nil
        switch result {
        case .success(let connection):
            self.connection = connection
            connection.start(self)
            connection.write(request)
        case .failure(let error):
            finish(.failed(error.message))
        }
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        switch phase {
        case .head:
            answer.append(bytes)
            readHead(connection)
        case .pong:
            readFrames(bytes)
        }
    }

    private func readHead(_ connection: Connection) {
        do throws(HTTPFault) {
            guard case .complete(let length) = try head.parse(answer.span) else { return }
            let parsed = head.head
            if let state = parsed.fields.first(.keyvaneState), answer.span.equalsIgnoringCase(state, "draining") {
                finish(.draining)
                return
            }
            guard parsed.status == 101 else {
                finish(.failed("the WebSocket upgrade was answered \(parsed.status)"))
                return
            }
            _ = try WebSocketHandshake.verify(parsed, in: answer.span, key: key)
            phase = .pong
            let rest = Array(answer[length...])
            answer = []
            var frame: [UInt8] = []
            WebSocketFrame.append(.ping, Self.ping.span, mask: .random(in: 0 ... .max), to: &frame)
            connection.write(frame)
            if !rest.isEmpty { readFrames(rest.span) }
        } catch {
            finish(.failed(error.message))
        }
    }

    private func readFrames(_ bytes: Span<UInt8>) {
        var outcome: CheckOutcome?
        do throws(WebSocketFault) {
            try frames.feed(bytes) { event, payload in
                switch event {
                case .pong where payload.count == Self.ping.count && outcome == nil: outcome = .passed
                case .close where outcome == nil: outcome = .failed("it closed the WebSocket")
                case .pong, .close, .text, .binary, .ping: break
                }
            }
        } catch {
            outcome = .failed("what it sent was no WebSocket frame")
        }
        if let outcome { finish(outcome) }
    }

    func connectionReachedEnd(_ connection: Connection) {
        finish(.failed("closed before it answered the WebSocket ping"))
    }

    func connectionDrained(_ connection: Connection) {}

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        finish(.failed("reset"))
    }

    private func finish(_ outcome: CheckOutcome) {
        if outcome == .passed, let connection {
            // In order: a gateway counts its watchers' farewells.
            var farewell: [UInt8] = []
            WebSocketFrame.append(.close, [0x03, 0xE8], mask: .random(in: 0 ... .max), to: &farewell)
            connection.write(farewell)
        }
        let done = done
        self.done = nil
        release()
        done?(outcome)
    }

    private func release() {
        deadline?.cancel()
        deadline = nil
        connector?.cancel()
        connector = nil
        connection?.closeWhenFlushed()
        connection = nil
    }
}
