// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Synchronization

/// A published message on its way from Redis to one subscriber.
package struct RedisProxyMessage: Sendable {
    /// Of this connection, from 0, over both channels.
    package let index: Int
    package let channel: String
    package let payload: String
}

/// What the proxy does with a message.
package enum RedisProxyVerdict: Sendable {
    case forward
    case drop
    case duplicate
    /// Sent right after the next message of the connection.
    case swapWithNext
    /// Sent that much later; others overtake it.
    case delay(Duration)
}

/// Runs `body` with a proxy in front of the Redis on `port`.
package func withRedisProxy<Value>(
    to port: UInt16,
    isolation: isolated (any Actor)? = #isolation,
    _ body: (RedisProxy) async throws -> Value
) async throws -> Value {
    try await LoopGroup.withLoops(count: 1, name: "redis-proxy") { group in
        let proxy = try RedisProxy(to: port, on: group.loops[0])
        try await proxy.open()
        do {
            let value = try await body(proxy)
            await proxy.close()
            return value
        } catch {
            await proxy.close()
            throw error
        }
    }
}

/// Stands between clients and Redis, and breaks what passes as the test says. Connections live on its loop; the settings may be changed
/// from any thread.
package final class RedisProxy: Sendable {
    private struct Settings {
        var decide: @Sendable (RedisProxyMessage) -> RedisProxyVerdict = { _ in .forward }
        var refuses = false
    }

    private let loop: Loop
    private let socket: ListenSocket
    private let upstream: UInt16
    private let settings = Mutex(Settings())
    private let state = Mutex<LoopBound<RedisProxyConnections>?>(nil)

    fileprivate init(to port: UInt16, on loop: Loop) throws {
        upstream = port
        self.loop = loop
        socket = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
    }

    package var port: UInt16 { socket.address.port ?? 0 }
    package var url: String { "redis://127.0.0.1:\(port)/0" }

    /// Decides about every message from now on, on the proxy's loop.
    package func onMessage(_ decide: @escaping @Sendable (RedisProxyMessage) -> RedisProxyVerdict) {
        settings.withLock { $0.decide = decide }
    }

    /// While true, new connections are closed at once.
    package func refuse(_ refuses: Bool) {
        settings.withLock { $0.refuses = refuses }
    }

    /// Cuts all connections that pass through.
    package func cut() async throws {
        try await onLoop { $0.closeAll() }
    }

    /// Connections that pass through now.
    package func connections() async throws -> Int {
        try await onLoop { $0.count }
    }

    fileprivate func open() async throws {
        let bound = try await loop.run { [self] in
            let connections = RedisProxyConnections(on: loop, upstream: upstream) { [self] message in
                settings.withLock { $0.decide }(message)
            }
            try connections.listen(socket) { [self] in settings.withLock { !$0.refuses } }
            return LoopBound(connections, loop: loop)
        }
        state.withLock { $0 = bound }
    }

    fileprivate func close() async {
        try? await onLoop { $0.close() }
        state.withLock { $0 = nil }
    }

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable (RedisProxyConnections) -> Value) async throws -> Value {
        guard let bound = state.withLock({ $0 }) else { throw DeadlinePassed("the proxy is closed") }
        return try await loop.run { body(bound.value) }
    }
}
