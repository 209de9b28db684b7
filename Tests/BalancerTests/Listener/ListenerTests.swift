// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// What plain listeners do with their clients before the first request, and instead of one.
@Suite struct ListenerTests {
    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    private func answer(_ fixture: BalancerFixture, _ bytes: [UInt8]) async throws -> String {
        let client = try RawSocket(port: fixture.addresses.listeners[0].port ?? 0)
        client.write(bytes)
        return String(decoding: await client.readToEnd(), as: UTF8.self)
    }

    private func answer(_ fixture: BalancerFixture, _ text: String) async throws -> String {
        try await answer(fixture, Array(text.utf8))
    }

    // MARK: PROXY

    private func withProxyProtocol(
        trusted: String,
        _ body: @escaping @Sendable (BalancerFixture) async throws -> Void
    ) async throws {
        try await BalancerFixture.with(
            configure: { configuration in
                configuration.listeners[0].acceptsProxyProtocol = true
                configuration.trustedProxies = [try AddressRange(parsing: trusted)]
            },
            script: { _, request in .ok("for " + request.values("x-forwarded-for").joined(separator: " | ")) },
            body
        )
    }

    @Test func theHeaderNamesTheClient() async throws {
        try await withProxyProtocol(trusted: "127.0.0.1") { fixture in
            for (header, name) in [
                ("PROXY TCP4 192.0.2.7 10.0.0.1 5 80\r\n", "192.0.2.7"), ("PROXY TCP6 2001:db8::7 ::1 5 80\r\n", "2001:db8::7"),
                // Nobody is named: the proxy itself counts, which is trusted and so may speak for others.
                ("PROXY UNKNOWN\r\n", "127.0.0.1"),
            ] {
                let text = try await answer(fixture, header + Self.get)
                #expect(text.hasSuffix("for \(name)"), "\(text)")
            }
            let v4: [UInt8] = [0x21, 0x11, 0, 12, 192, 0, 2, 9, 10, 0, 0, 1, 0, 5, 0, 80]
            let text = try await answer(fixture, Self.signature + v4 + Array(Self.get.utf8))
            #expect(text.hasSuffix("for 192.0.2.9"), "\(text)")
            // The client itself is nobody to be believed.
            let forged = Self.get.replacing("Host: a", with: "Host: a\r\nX-Forwarded-For: 1.2.3.4")
            #expect(try await answer(fixture, "PROXY TCP4 192.0.2.7 10.0.0.1 5 80\r\n" + forged).hasSuffix("for 192.0.2.7"))
        }
    }

    @Test func theHeaderMayComeByteByByte() async throws {
        try await withProxyProtocol(trusted: "127.0.0.1") { fixture in
            let client = try RawSocket(port: fixture.addresses.listeners[0].port ?? 0)
            for byte in Array("PROXY TCP4 192.0.2.7 10.0.0.1 5 80\r\n".utf8) { client.write([byte]) }
            client.write(Self.get)
            let text = String(decoding: await client.readToEnd(), as: UTF8.self)
            #expect(text.hasSuffix("for 192.0.2.7"), "\(text)")
        }
    }

    @Test func withoutOneAndFromAnybodyElseNothingIsHeard() async throws {
        try await withProxyProtocol(trusted: "127.0.0.1") { fixture in
            let plain = try await answer(fixture, Self.get)
            #expect(plain.isEmpty)
            #expect(try await answer(fixture, "PROXY TCP4 192.0.2.7 10.0.0.1 5 80\n" + Self.get).isEmpty)
        }
        try await withProxyProtocol(trusted: "10.0.0.0/8") { fixture in
            let text = try await answer(fixture, "PROXY TCP4 192.0.2.7 10.0.0.1 5 80\r\n" + Self.get)
            #expect(text.isEmpty)
            #expect(RecordedMetrics.shared.value("balancer_rejected_total{reason=\"untrusted_peer\"}") ?? 0 > 0)
        }
    }

    // MARK: Redirect

    @Test func plainClientsAreSentToHTTPS() async throws {
        try await BalancerFixture.with(configure: { $0.listeners[0].redirectHTTPS = 301 }) { fixture in
            for (target, host, location) in [
                ("/a/b?c=d%20e", "www.example.com", "https://www.example.com/a/b?c=d%20e"), ("/", "a:80", "https://a/"),
                ("/x", "[::1]", "https://[::1]/x"), ("/x", "[::1]:8080", "https://[::1]/x"),
            ] {
                let text = try await answer(fixture, "GET \(target) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
                #expect(text.hasPrefix("HTTP/1.1 301 "), "\(text)")
                #expect(text.contains("\r\nLocation: \(location)\r\n"), "\(text)")
            }
            for path in ["/livez", "/readyz", "/health", "/.well-known/acme-challenge/token"] {
                let text = try await answer(fixture, "GET \(path) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                #expect(text.hasPrefix("HTTP/1.1 200 "), "\(path): \(text)")
            }
            let upload = try await answer(fixture, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
            #expect(upload.contains("Location: https://a/x"))
            #expect(upload.contains("Connection: close"))
        }
    }

    @Test func whoCameByHTTPSToAProxyBeforeUsIsServed() async throws {
        try await BalancerFixture.with(configure: { configuration in
            configuration.listeners[0].redirectHTTPS = 308
            configuration.trustedProxies = [try AddressRange(parsing: "127.0.0.1")]
        }) { fixture in
            let secure = try await answer(fixture, Self.get.replacing("Host: a", with: "Host: a\r\nX-Forwarded-Proto: https"))
            #expect(secure.hasPrefix("HTTP/1.1 200 "))
            #expect(try await answer(fixture, Self.get).hasPrefix("HTTP/1.1 308 "))
        }
    }

    // MARK: Cap

    @Test func anAddressHasOnlySoManyConnections() async throws {
        try await BalancerFixture.with(loops: 2, configure: { $0.limits.connectionsPerAddress = 3 }) { fixture in
            var clients: [TestClient] = []
            for _ in 0..<3 {
                let client = try await fixture.client()
                _ = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                clients.append(client)
            }
            #expect(try await answer(fixture, Self.get).isEmpty)
            #expect(RecordedMetrics.shared.value("balancer_rejected_total{reason=\"connection_limit\"}") ?? 0 > 0)
            // The place of one that leaves is free again.
            clients[0].close()
            _ = try await eventually("a free place") { try await answer(fixture, Self.get).isEmpty ? nil : true }
            for client in clients { client.close() }
        }
    }
}
