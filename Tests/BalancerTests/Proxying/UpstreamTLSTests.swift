// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Glibc
import Reactor
import TestSupport
import Testing
import Wire

/// TLS to the servers: trusted or not at all.
@Suite struct UpstreamTLSTests {
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    private struct Setup {
        var server = TestCertificates.Name.server
        var asksForCertificate = false
        var change: @Sendable (inout UpstreamTLS, TestCertificates) -> Void = { _, _ in }
        var script: @Sendable (String, BackendRequest) -> BackendAction = { name, _ in .ok(name) }
    }

    private func with(_ setup: Setup, _ body: @Sendable (BalancerFixture, TestCertificates) async throws -> Void) async throws {
        try await withCertificates { certificates in
            var options = TLSServerOptions(
                certificates: [.init(certificate: certificates.certificate(setup.server), key: certificates.key(setup.server))]
            )
            if setup.asksForCertificate { options.clientAuthorities = certificates.authority }
            let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
                var tls = UpstreamTLS()
                tls.authorities = certificates.authority
                tls.serverName = "localhost"
                setup.change(&tls, certificates)
                configuration.pools[0].tls = tls
            }
            let identity = try TLSServerIdentity(options)
            try await BalancerFixture.with(tls: identity, configure: configure, script: setup.script) { try await body($0, certificates) }
        }
    }

    @Test func requestsChecksAndTunnels() async throws {
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            request.value("upgrade") == nil ? .ok(String(decoding: request.body, as: UTF8.self)) : .tunnel()
        }
        try await with(Setup(script: script)) { fixture, _ in
            let client = try await fixture.client()
            for _ in 0..<3 { #expect(try await client.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").text == "hi") }
            // One connection carried them.
            #expect(Set(fixture.backends[0].requests.all.map(\.connection)).count == 1)
            _ = try await fixture.backends[0].checks.first()
            client.send(WebSocketHandshake.request(target: "/", host: "a", key: WebSocketHandshake.key((1, 2))))
            #expect(try await client.response().status == 101)
            client.send([UInt8](repeating: 7, count: 100_000))
            #expect(try await client.bytes(100_000).allSatisfy { $0 == 7 })
            client.close()
        }
    }

    @Test func locationsOfTheServerBecomeOurs() async throws {
        try await with(Setup()) { fixture, _ in
            let address = try await fixture.backends[0].endpoint.description
            for (theirs, ours) in [("https://\(address)/x", "http://a/x"), ("http://\(address)/x", "http://\(address)/x")] {
                fixture.backends[0].become { _ in .ok(fields: "Location: \(theirs)\r\n") }
                #expect(try await fixture.client().request(Self.get).value("location") == ours)
            }
        }
    }

    @Test(arguments: ["other authority", "other name", "expired", "no certificate of ours"])
    func whatIsNotTrustedGetsNothing(_ what: String) async throws {
        var setup = Setup()
        switch what {
        case "other authority": setup.change = { $0.authorities = $1.otherAuthority }
        case "other name": setup.change = { tls, _ in tls.serverName = "elsewhere.example" }
        case "expired": setup.server = .expired
        default: setup.asksForCertificate = true
        }
        try await with(setup) { fixture, _ in
            let client = try await fixture.client()
            let answer = try await client.request(Self.get)
            #expect(answer.status == 502 || what == "no certificate of ours" && answer.status == 503, "\(answer.text)")
            #expect(fixture.backends[0].requests.all.isEmpty)
            let told = fixture.log.all.filter { $0.hasPrefix("no TLS with a server") }
            #expect(told.count == 1)
            for part in ["pool=web", "server=web-1", "error=TLS with"] { #expect(told.first?.contains(part) == true) }
        }
    }

    @Test func ourOwnCertificateIsShown() async throws {
        let setup = Setup(
            asksForCertificate: true,
            change: { tls, certificates in
                tls.certificate = certificates.certificate(.client)
                tls.key = certificates.key(.client)
            }
        )
        try await with(setup) { fixture, _ in
            let answer = try await fixture.client().request(Self.get)
            #expect(answer.status == 200)
        }
    }

    /// A connection that was made with other trust is never used again, and certificates may be replaced while everything runs.
    @Test func replacedFilesCount() async throws {
        try await withCertificates { certificates in
            let trusted = certificates.authority + ".copy"
            try #require(rename(certificates.authority, trusted) == 0)
            let identity = try TLSServerIdentity(
                TLSServerOptions(certificates: [.init(certificate: certificates.certificate(.server), key: certificates.key(.server))])
            )
            let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
                var tls = UpstreamTLS()
                tls.authorities = trusted
                tls.serverName = "localhost"
                configuration.pools[0].tls = tls
                configuration.pools[0].passive.maxFails = 1000
                configuration.pools[0].health.fall = 1000
            }
            try await BalancerFixture.with(tls: identity, configure: configure) { fixture in
                let client = try await fixture.client()
                #expect(try await client.request(Self.get).status == 200)
                // Trust in somebody else: the idle connection is worth nothing any more.
                try #require(rename(trusted, certificates.authority) == 0 && rename(certificates.otherAuthority, trusted) == 0)
                _ = try await eventually("the new authority to count") {
                    try await client.request(Self.get).status == 502 ? true : nil
                }
                try #require(rename(certificates.authority, trusted) == 0)
                _ = try await eventually("the old authority to count again") {
                    try await client.request(Self.get).status == 200 ? true : nil
                }
            }
        }
    }
}
