// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Runs `body` with a folder of fresh certificates, made by OpenSSL's own program, and removes it.
package func withCertificates<Value>(
    isolation: isolated (any Actor)? = #isolation,
    _ body: (TestCertificates) async throws -> Value
) async throws -> Value {
    let certificates = try await TestCertificates()
    do {
        let value = try await body(certificates)
        certificates.remove()
        return value
    } catch {
        certificates.remove()
        throw error
    }
}

/// Certificates of an authority of our own, PEM files each with its key.
package struct TestCertificates: Sendable {
    package enum Name: String, CaseIterable, Sendable {
        case server, elsewhere, expired, client, wildcard
    }

    private let home: TemporaryFolder
    private var folder: String { home.path }

    /// The authority that has signed all of them, and one that has signed none.
    package var authority: String { "\(folder)/authority.pem" }
    package var otherAuthority: String { "\(folder)/other.pem" }
    /// A file that isn't there.
    package var missing: String { "\(folder)/missing.pem" }

    package func certificate(_ name: Name) -> String { "\(folder)/\(name.rawValue).pem" }
    package func key(_ name: Name) -> String { "\(folder)/\(name.rawValue).key" }

    /// A new file with a certificate and its key in one.
    package func combined(_ name: Name) throws -> String {
        let path = "\(folder)/\(name.rawValue)-combined.pem"
        let text = try [certificate(name), key(name)].map { try String(contentsOfFile: $0, encoding: .utf8) }.joined()
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// A file of this name in the folder, for what clients keep.
    package func file(_ name: String) -> String { "\(folder)/\(name)" }

    fileprivate init() async throws {
        home = try TemporaryFolder("kv-tls")
        do {
            for name in ["authority", "other"] {
                try await Self.openssl(
                    ["req", "-x509", "-days", "2", "-subj", "/CN=\(name)", "-out", "\(folder)/\(name).pem"]
                        + Self.newKey("\(folder)/\(name).key")
                )
            }
            for name in Name.allCases { try await sign(name) }
        } catch {
            home.remove()
            throw error
        }
    }

    private func sign(_ name: Name) async throws {
        let names =
            switch name {
            case .elsewhere: "DNS:elsewhere.example,IP:127.0.0.9"
            case .wildcard: "DNS:*.wild.example,DNS:wild.example"
            case .server, .expired, .client: "DNS:localhost,IP:127.0.0.1"
            }
        let request = "\(folder)/\(name.rawValue).csr"
        try await Self.openssl(
            ["req", "-subj", "/CN=\(name.rawValue)", "-addext", "subjectAltName=\(names)", "-out", request] + Self.newKey(key(name))
        )
        try await Self.openssl([
            "x509", "-req", "-in", request, "-CA", authority, "-CAkey", "\(folder)/authority.key", "-CAcreateserial",
            "-copy_extensions", "copy", "-days", name == .expired ? "-1" : "2", "-out", certificate(name),
        ])
    }

    private static func newKey(_ path: String) -> [String] {
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]
    }

    private static func openssl(_ arguments: [String]) async throws {
        _ = try await SpawnedCommand.run(["openssl"] + arguments)
    }

    fileprivate func remove() {
        home.remove()
    }

    /// What a Redis is told to serve TLS too, on a port of its own. `verifies`: clients must show a certificate.
    package func redis(port: UInt16, _ name: Name = .server, verifies: Bool = false) -> [String] {
        [
            "--tls-port", String(port), "--tls-cert-file", certificate(name), "--tls-key-file", key(name),
            "--tls-ca-cert-file", authority, "--tls-auth-clients", verifies ? "yes" : "no",
        ]
    }
}
