// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// Servers that answer before they have read the request.
@Suite struct EarlyAnswerTests {
    /// Answers at the first bytes and closes with the rest unread, which makes its kernel reset the connection.
    private final class Impatient: ConnectionHandler {
        func connection(_ connection: Connection, received bytes: Span<UInt8>) {
            connection.write(Array("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large".utf8))
            connection.close()
        }

        func connectionReachedEnd(_ connection: Connection) {}
        func connectionDrained(_ connection: Connection) {}
        func connectionClosed(_ connection: Connection, _ reason: CloseReason) {}
    }

    @Test func theAnswerIsSeenThoughTheBodyMeetsAReset() async throws {
        try await LoopGroup.withLoops(count: 1, name: "outer") { outer in
            let loop = outer.loops[0]
            let socket = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
            let listener = try await loop.run {
                LoopBound(try Listener(socket, on: loop) { $0.start(Impatient()) }, loop: loop)
            }
            let server = ServerConfiguration(name: "web-1", address: Endpoint(socket.address))
            var configuration = BalancerConfiguration(
                listeners: [Endpoint(host: "127.0.0.1", port: 0)],
                pools: [PoolConfiguration(name: "web", servers: [server])]
            )
            configuration.admin = nil
            configuration.pools[0].health.interval = .seconds(3600)
            try await BalancerFixture.run(configuration, outer: outer, backends: []) { fixture in
                // Where the reset is found first differs from run to run: at a write, or at a read.
                for _ in 0..<30 {
                    let client = try RawSocket(port: fixture.addresses.listeners[0].port ?? 0)
                    client.write("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
                    let part = [UInt8](repeating: 7, count: 100_000)
                    for _ in 0..<20 where !client.write(part) { break }
                    let text = String(decoding: client.read(), as: UTF8.self)
                    #expect(text.hasPrefix("HTTP/1.1 413 "), "\(text.prefix(200))")
                    #expect(text.hasSuffix("too large"))
                }
            }
            try await loop.run { listener.value.close() }
        }
    }
}
