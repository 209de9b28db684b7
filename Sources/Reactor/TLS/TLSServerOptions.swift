// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What a listener's TLS is to be; a plain value.
package struct TLSServerOptions: Sendable, Hashable {
    /// PEM files: the chain, own certificate first, and its key without a password. Both may be the same file.
    package struct Certificate: Sendable, Hashable {
        package var certificate: String
        package var key: String

        package init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }

        package init(combined: String) {
            self.init(certificate: combined, key: combined)
        }
    }

    /// Ciphers and curves by name. All of them agree on a fresh key (ECDHE) and encrypt with authentication (AEAD).
    package enum Profile: String, Sendable, CaseIterable {
        /// The strongest first.
        case modern
        /// For older clients and small machines: AES of 128 bits and ChaCha20 first, and one more curve.
        case intermediate

        /// For TLS 1.2.
        var ciphers: String {
            switch self {
            case .modern: "ECDHE+AESGCM:ECDHE+CHACHA20"
            case .intermediate: "ECDHE+AESGCM+AES128:ECDHE+CHACHA20:ECDHE+AESGCM+AES256"
            }
        }

        /// For TLS 1.3.
        var suites: String {
            switch self {
            case .modern: "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
            case .intermediate: "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
            }
        }

        var groups: String {
            switch self {
            case .modern: "X25519:P-256"
            case .intermediate: "X25519:P-256:P-384"
            }
        }
    }

    /// The names in them choose one by what the client asks for; the first is for everybody else.
    package var certificates: [Certificate]
    package var minimum = TLSFacts.Version.v12
    package var profile = Profile.modern
    /// By preference, `h2` before `http/1.1`. A client that offers others only is refused (RFC 7301), one that offers none is not.
    package var applicationProtocols: [String] = []
    /// A PEM file of authorities: every client must show a certificate of one of them.
    package var clientAuthorities: String?

    package init(certificates: [Certificate]) {
        self.certificates = certificates
    }
}
