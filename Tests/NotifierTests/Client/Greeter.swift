// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport

/// Runs a server that sends `text` to whoever connects, and ignores what they say.
func withGreeter<Value>(
    _ text: String,
    isolation: isolated (any Actor)? = #isolation,
    _ body: (UInt16) async throws -> Value
) async throws -> Value {
    try await LoopGroup.withLoops(count: 1, name: "greeter") { group in
        let loop = group.loops[0]
        let socket = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
        let listener = try await loop.run {
            let listener = try Listener(socket, on: loop) { connection in
                connection.start(Ignorer())
                connection.write(Array(text.utf8))
            }
            return LoopBound(listener, loop: loop)
        }
        let value = try await body(socket.address.port ?? 0)
        try await loop.run { listener.value.close() }
        return value
    }
}

private final class Ignorer: ConnectionHandler {
    func connection(_ connection: Connection, received bytes: Span<UInt8>) {}
    func connectionReachedEnd(_ connection: Connection) { connection.close() }
    func connectionDrained(_ connection: Connection) {}
    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {}
}
