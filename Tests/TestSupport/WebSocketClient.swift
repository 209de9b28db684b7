// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor
import Wire

/// A WebSocket that a test talks through: everything that came is kept as text, in order. The connection lives on its loop; this handle goes
/// anywhere.
package final class WebSocketClient: Sendable {
    package enum Event: Hashable, Sendable {
        case opened(subprotocol: String?)
        case message(String)
        case ping
        case ended(WebSocketClientConnection.End)
    }

    package let events = Events<Event>()
    private let bound: LoopBound<WebSocketClientConnection>

    private init(_ bound: LoopBound<WebSocketClientConnection>) {
        self.bound = bound
    }

    /// Connects and sends the upgrade; `until` and the like wait for what follows.
    package static func connect(
        port: UInt16,
        _ target: String,
        fields: [(name: String, value: String)] = [],
        subprotocols: [String] = [],
        on loop: Loop,
        configure: @escaping @Sendable (WebSocketClientConnection) -> Void = { _ in }
    ) async throws -> WebSocketClient {
        let bound = try await open(port: port, on: loop, subprotocols: subprotocols)
        let client = WebSocketClient(bound)
        let events = client.events
        try await loop.run {
            let connection = bound.value
            connection.opened = { events.emit(.opened(subprotocol: $0)) }
            connection.received = { events.emit(.message($0.string())) }
            connection.pinged = { events.emit(.ping) }
            connection.ended = { events.emit(.ended($0)) }
            configure(connection)
            connection.start(target: target, fields: fields)
        }
        return client
    }

    /// A bare connection for tests with thousands of them: set its callbacks on the loop, then `start` it there.
    package static func open(
        port: UInt16,
        on loop: Loop,
        subprotocols: [String] = []
    ) async throws -> LoopBound<WebSocketClientConnection> {
        try await withCheckedThrowingContinuation { continuation in
            loop.post {
                Connector.connect(to: Endpoint(host: "127.0.0.1", port: port), on: loop, timeout: .seconds(20)) { result in
                    continuation.resume(
                        with: result.map { LoopBound(WebSocketClientConnection($0, subprotocols: subprotocols), loop: loop) }
                    )
                }
            }
        }
    }

    /// Runs on the connection's loop.
    package func perform(_ body: @escaping @Sendable (WebSocketClientConnection) -> Void) {
        let bound = bound
        bound.loop.post { body(bound.value) }
    }

    package func send(_ text: String) {
        perform { $0.send(text: text) }
    }

    package func send(raw bytes: [UInt8]) {
        perform { $0.connection.write(bytes) }
    }

    package func close(_ code: UInt16 = 1000) {
        perform { $0.close(code) }
    }

    /// Gone without a word.
    package func abort() {
        perform { $0.connection.abort() }
    }

    package func pauseReading() {
        perform { $0.connection.pauseReading() }
    }

    package func resumeReading() {
        perform { $0.connection.resumeReading() }
    }

    package var messages: [String] {
        events.all.compactMap { if case .message(let text) = $0 { text } else { nil } }
    }

    /// The messages so far, as soon as they satisfy the condition.
    @discardableResult
    package func until(
        within limit: Duration = .seconds(30),
        _ what: String = "messages",
        _ condition: @escaping @Sendable ([String]) -> Bool
    ) async throws -> [String] {
        try await events.until(within: limit, what) { events in
            condition(events.compactMap { if case .message(let text) = $0 { text } else { nil } })
        }
        return messages
    }

    /// The first message of a type.
    package func message(_ type: String, within limit: Duration = .seconds(30)) async throws -> String {
        let start = #"{"type":"\#(type)""#
        let all = try await until(within: limit, "a '\(type)' message") { $0.contains { $0.hasPrefix(start) } }
        guard let found = all.first(where: { $0.hasPrefix(start) }) else { throw DeadlinePassed("a '\(type)' message") }
        return found
    }

    /// How the connection ended.
    package func end(within limit: Duration = .seconds(30)) async throws -> WebSocketClientConnection.End {
        let all = try await events.until(within: limit, "the end of the connection") { events in
            events.contains { if case .ended = $0 { true } else { false } }
        }
        for case .ended(let end) in all { return end }
        throw DeadlinePassed("the end of the connection")
    }
}
