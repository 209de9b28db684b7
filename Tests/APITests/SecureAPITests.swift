// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import TestSupport
import Testing

/// An API that speaks TLS itself, against curl.
@Suite(.serialized) struct SecureAPITests {
    private func curl(_ arguments: String...) async throws -> String {
        try await ForeignClient.run(["curl", "--silent", "--show-error", "--include", "--http1.1"] + arguments).text
    }

    @Test(arguments: [false, true])
    func requestsComeThroughTLS(_ asksForCertificates: Bool) async throws {
        try await withCertificates { certificates in
            let tls = APITLS(
                certificate: certificates.certificate(.server),
                key: certificates.key(.server),
                clientAuthorities: asksForCertificates ? certificates.authority : nil
            )
            try await withAPI(configure: { $0.tls = tls }) { api in
                let url = "https://localhost:\(api.port)/livez"
                let unknown = try await curl("--cacert", certificates.authority, url)
                #expect(unknown.hasPrefix("HTTP/1.1 200 ") == !asksForCertificates, "\(unknown)")
                let (certificate, key) = (certificates.certificate(.client), certificates.key(.client))
                let known = try await curl("--cacert", certificates.authority, "--cert", certificate, "--key", key, url)
                #expect(known.hasPrefix("HTTP/1.1 200 "), "\(known)")
                let plain = try await curl("http://localhost:\(api.port)/livez")
                #expect(!plain.contains("HTTP/1.1 200"), "\(plain)")
            }
        }
    }

    @Test func filesThatCanNotBeUsedKeepItFromStarting() async throws {
        try await withCertificates { certificates in
            let tls = APITLS(certificate: certificates.missing, key: certificates.missing)
            await #expect(throws: (any Error).self) {
                try await withAPI(configure: { $0.tls = tls }) { _ in Issue.record("it started") }
            }
        }
    }
}
