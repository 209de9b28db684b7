// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Foundation
import Reactor
import TestSupport
import Testing

/// Listeners with TLS, against curl and OpenSSL's client.
@Suite(.serialized) struct SecureListenerTests {
    private static let echo: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
        let names = ["x-forwarded-proto", "x-forwarded-port", "x-forwarded-for", "forwarded"]
        let lines = names.map { "\($0): \(request.values($0).joined(separator: " | "))" }
        return .ok(lines.joined(separator: "\n") + "\n")
    }

    private func withSecure(
        loops: Int = 1,
        configure: @escaping @Sendable (inout BalancerConfiguration, TestCertificates) throws -> Void = { _, _ in },
        _ body: @escaping @Sendable (BalancerFixture, TestCertificates, UInt16) async throws -> Void
    ) async throws {
        try await withCertificates { certificates in
            try await BalancerFixture.with(
                loops: loops,
                configure: { configuration in
                    configuration.listeners[0].tls = ListenerTLS(certificates: [
                        .init(certificate: certificates.certificate(.server), key: certificates.key(.server)),
                        .init(pem: try certificates.combined(.wildcard)),
                    ])
                    try configure(&configuration, certificates)
                },
                script: Self.echo
            ) { fixture in
                try await body(fixture, certificates, fixture.addresses.listeners[0].port ?? 0)
            }
        }
    }

    private func curl(_ certificates: TestCertificates, _ arguments: String...) async throws -> String {
        let outcome = try await ForeignClient.run(
            ["curl", "--silent", "--show-error", "--include", "--max-time", "60", "--cacert", certificates.authority] + arguments
        )
        return outcome.text
    }

    @Test(arguments: ["--http1.1", "--http2"])
    func serversAndClientsAreToldOfIt(_ version: String) async throws {
        try await withSecure { configuration, _ in
            configuration.listeners[0].hsts = StrictTransportSecurity(maxAge: 60)
        } _: { _, certificates, port in
            let text = try await curl(certificates, version, "https://localhost:\(port)/")
            #expect(text.lowercased().hasPrefix(version == "--http2" ? "http/2 200" : "http/1.1 200"), "\(text)")
            #expect(text.contains("x-forwarded-proto: https\nx-forwarded-port: \(port)\nx-forwarded-for: 127.0.0.1\n"))
            #expect(text.contains("proto=https"))
            #expect(text.contains("SameSite=Lax; Secure"))
            #expect(text.lowercased().contains("strict-transport-security: max-age=60"))
        }
    }

    @Test func largeBodiesPassBothWays() async throws {
        try await withSecure { _, certificates, port in
            let path = certificates.file("upload")
            try Data(repeating: 0x61, count: 5_000_000).write(to: URL(fileURLWithPath: path))
            for version in ["--http1.1", "--http2"] {
                let text = try await curl(certificates, version, "--data-binary", "@\(path)", "-H", "Expect:", "https://localhost:\(port)/")
                #expect(text.contains("x-forwarded-proto: https"), "\(text)")
            }
        }
    }

    @Test func certificatesAreSwappedWhenTheirFilesChange() async throws {
        try await withSecure(loops: 2) { fixture, certificates, port in
            let live = try await TestTLS.subject(port)
            #expect(live == "server")
            let (certificate, key) = (certificates.certificate(.server), certificates.key(.server))
            // Half of the change: certificate and key don't belong together.
            try Data(contentsOf: URL(fileURLWithPath: certificates.certificate(.client))).write(to: URL(fileURLWithPath: certificate))
            _ = try await eventually("the complaint") { fixture.log.all.contains { $0.contains("old ones stay") } ? true : nil }
            #expect(try await TestTLS.subject(port) == "server")
            try Data(contentsOf: URL(fileURLWithPath: certificates.key(.client))).write(to: URL(fileURLWithPath: key))
            _ = try await eventually("the new certificate") { try await TestTLS.subject(port) == "client" ? true : nil }
            #expect(fixture.log.all.contains { $0.contains("certificates have changed") && $0.contains("names=*.wild.example localhost") })
            // No key and no path of one.
            #expect(!fixture.log.all.contains { $0.contains(key) || $0.contains("PRIVATE") })
        }
    }

    @Test func filesThatCanNotBeUsedKeepTheBalancerFromStarting() async throws {
        for missing in [true, false] {
            await #expect(throws: BalancerError.self) {
                try await withSecure { configuration, certificates in
                    let certificate = missing ? certificates.missing : certificates.certificate(.server)
                    configuration.listeners[0].tls?.certificates = [.init(certificate: certificate, key: certificates.key(.client))]
                } _: { _, _, _ in
                    Issue.record("it started")
                }
            }
        }
    }

    @Test func theProxyHeaderComesBeforeTheHandshake() async throws {
        try await withSecure { configuration, _ in
            configuration.listeners[0].acceptsProxyProtocol = true
            configuration.trustedProxies = [try AddressRange(parsing: "127.0.0.0/8")]
        } _: { _, certificates, port in
            let text = try await curl(certificates, "--haproxy-protocol", "https://localhost:\(port)/")
            #expect(text.contains("x-forwarded-proto: https"), "\(text)")
        }
    }
}

enum TestTLS {
    /// The common name of the certificate that is shown to a client without a name.
    static func subject(_ port: UInt16) async throws -> String? {
        let outcome = try await ForeignClient.run(["openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-noservername"])
        return outcome.text.split(separator: "\n").first { $0.hasPrefix("subject=CN = ") }.map { String($0.dropFirst(13)) }
    }
}
