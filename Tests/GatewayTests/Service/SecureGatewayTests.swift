// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Reactor
import TestSupport
import Testing

/// A gateway that speaks TLS itself, against curl.
@Suite struct SecureGatewayTests {
    private func curl(_ arguments: String...) async throws -> String {
        try await ForeignClient.run(["curl", "--silent", "--show-error", "--include", "--http1.1"] + arguments).text
    }

    @Test func requestsAndUpgradesComeThroughTLS() async throws {
        try await withCertificates { certificates in
            let options = TLSServerOptions(certificates: [
                .init(certificate: certificates.certificate(.server), key: certificates.key(.server))
            ])
            try await GatewayFixture.with(configure: { $0.tls = options }) { gateway in
                let live = try await curl("--cacert", certificates.authority, "https://localhost:\(gateway.port)/livez")
                #expect(live.hasPrefix("HTTP/1.1 200 "), "\(live)")
                // It stays open, and curl leaves after a while.
                let upgrade = try await curl(
                    "--cacert",
                    certificates.authority,
                    "--max-time",
                    "2",
                    "-H",
                    "Connection: Upgrade",
                    "-H",
                    "Upgrade: websocket",
                    "-H",
                    "Sec-WebSocket-Version: 13",
                    "-H",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                    "https://localhost:\(gateway.port)/v1/watch"
                )
                #expect(upgrade.contains("HTTP/1.1 101 "), "\(upgrade)")
                let plain = try await curl("http://localhost:\(gateway.port)/livez")
                #expect(!plain.contains("HTTP/1.1"), "\(plain)")
            }
        }
    }

    @Test func clientsMustShowACertificateWhereAuthoritiesAreNamed() async throws {
        try await withCertificates { certificates in
            var options = TLSServerOptions(certificates: [
                .init(certificate: certificates.certificate(.server), key: certificates.key(.server))
            ])
            options.clientAuthorities = certificates.authority
            try await GatewayFixture.with(configure: { [options] in $0.tls = options }) { gateway in
                let url = "https://localhost:\(gateway.port)/livez"
                let unknown = try await curl("--cacert", certificates.authority, url)
                #expect(!unknown.contains("HTTP/1.1"), "\(unknown)")
                let (certificate, key) = (certificates.certificate(.client), certificates.key(.client))
                let known = try await curl("--cacert", certificates.authority, "--cert", certificate, "--key", key, url)
                #expect(known.hasPrefix("HTTP/1.1 200 "), "\(known)")
            }
        }
    }
}
