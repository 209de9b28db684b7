// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Foundation
import Glibc
import Reactor
import TestSupport
import Testing

extension BalancerFixture {
    /// Its listener speaks HTTP/2 at once.
    static func withHTTP2(
        _ pools: [(pool: String, name: String)] = [("web", "web-1")],
        answersEarly: Bool = false,
        dead: Set<String> = [],
        configure: @Sendable (inout BalancerConfiguration) throws -> Void = { _ in },
        script: @escaping @Sendable (String, BackendRequest) -> BackendAction = { name, _ in .ok(name) },
        _ body: @Sendable (BalancerFixture) async throws -> Void
    ) async throws {
        try await with(
            pools,
            answersEarly: answersEarly,
            dead: dead,
            configure: { configuration in
                configuration.limits.http2.isAssumed = true
                try configure(&configuration)
            },
            script: script,
            body
        )
    }

    var url: String { "http://\(addresses.listeners[0])" }
}

/// Other people's clients.
@Suite struct HTTP2ClientTests {
    private static func curl(_ fixture: BalancerFixture, _ path: String, _ arguments: String...) async throws -> String {
        try await SpawnedCommand.run(
            ["curl", "--http2-prior-knowledge", "-sS", "--max-time", "60", "-H", "Expect:"] + arguments + [fixture.url + path]
        )
    }

    @Test func curl() async throws {
        try await BalancerFixture.withHTTP2(script: { _, request in
            switch request.target {
            case "/204": .send("HTTP/1.1 204 No Content\r\n\r\n")
            case "/304": .send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n")
            case "/chunks": .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
            case "/close": .sendThenClose("HTTP/1.1 200 OK\r\n\r\nuntil the end")
            case "/large": .stream(8 << 20)
            default: .ok("\(request.method) \(request.body.count)")
            }
        }) { fixture in
            #expect(try await Self.curl(fixture, "/") == "GET 0")
            let file = "/tmp/keyvane-h2-\(getpid())"
            try Data(repeating: 0x61, count: 5 << 20).write(to: URL(fileURLWithPath: file))
            defer { try? FileManager.default.removeItem(atPath: file) }
            #expect(try await Self.curl(fixture, "/", "--data-binary", "@\(file)") == "POST \(5 << 20)")
            #expect(try await Self.curl(fixture, "/", "--data-binary", "@\(file)", "-H", "Transfer-Encoding: chunked") == "POST \(5 << 20)")
            #expect(try await Self.curl(fixture, "/204", "-w", "%{http_code} %{http_version}") == "204 2")
            #expect(try await Self.curl(fixture, "/304", "-w", "%{http_code} %{http_version}") == "304 2")
            #expect(try await Self.curl(fixture, "/", "-I").contains("content-length: 6"))
            #expect(try await Self.curl(fixture, "/chunks") == "abcdefg")
            #expect(try await Self.curl(fixture, "/close") == "until the end")
            #expect(try await Self.curl(fixture, "/large", "-o", "/dev/null", "-w", "%{size_download}") == "\(8 << 20)")
            #expect(try await Self.curl(fixture, "/livez", "-w", "%{http_code}", "-o", "/dev/null") == "200")
        }
    }

    @Test func nghttpAndH2load() async throws {
        try await BalancerFixture.withHTTP2(script: { _, request in .ok(String(repeating: "x", count: 3000)) }) { fixture in
            let text = try await SpawnedCommand.run(["nghttp", "-nv", fixture.url, fixture.url + "/2"])
            #expect(text.contains(":status: 200") && text.contains("SETTINGS_ENABLE_CONNECT_PROTOCOL(0x08):1"))
            let load = try await SpawnedCommand.run(["h2load", "-n", "3000", "-c", "4", "-m", "100", fixture.url])
            #expect(load.contains("3000 succeeded, 0 failed, 0 errored, 0 timeout"))
            let bodies = try await SpawnedCommand.run(["h2load", "-n", "300", "-c", "2", "-m", "20", "-w", "10", "-W", "10", fixture.url])
            #expect(bodies.contains("300 succeeded, 0 failed"))
        }
    }
}
