// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor
import TestSupport
import Wire

/// A server for balancers: tells its name to whoever asks, and opens every WebSocket that is wanted, in which nothing happens.
struct EchoBackend: Sendable {
    let port: UInt16
    private let listener: LoopBound<Listener>

    static func start(_ name: String, on loop: Loop) async throws -> EchoBackend {
        let socket = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
        let listener = try await loop.run { LoopBound(try Listener(socket, on: loop) { $0.start(Session(name)) }, loop: loop) }
        return EchoBackend(port: socket.address.port ?? 0, listener: listener)
    }

    private final class Session: ConnectionHandler {
        private let name: String
        private var input = ""
        private var isTunnel = false

        init(_ name: String) {
            self.name = name
        }

        func connection(_ connection: Connection, received bytes: Span<UInt8>) {
            guard !isTunnel else { return }
            input += bytes.string()
            while let end = input.range(of: "\r\n\r\n") {
                let head = input[..<end.lowerBound]
                input = String(input[end.upperBound...])
                answer(head.split(separator: "\r\n"), connection)
            }
        }

        private func answer(_ lines: [Substring], _ connection: Connection) {
            let field = "sec-websocket-key: "
            if let key = lines.first(where: { $0.lowercased().hasPrefix(field) })?.dropFirst(field.count) {
                isTunnel = true
                connection.write(WebSocketHandshake.response(accept: WebSocketHandshake.accept(for: Array(key.utf8).span)))
            } else {
                connection.write(Array("HTTP/1.1 200 OK\r\nContent-Length: \(name.utf8.count)\r\n\r\n\(name)".utf8))
            }
        }

        func connectionReachedEnd(_ connection: Connection) { connection.closeWhenFlushed() }
        func connectionDrained(_ connection: Connection) {}
        func connectionClosed(_ connection: Connection, _ reason: CloseReason) {}
    }
}
