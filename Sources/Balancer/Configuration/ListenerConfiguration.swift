// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Reactor

/// One address for clients.
package struct ListenerConfiguration: Sendable, Equatable {
    package var bind: Endpoint
    package var tls: ListenerTLS?
    /// The status, 301 or 308, of an answer that sends clients to https; not for ACME challenges and the balancer's own paths.
    package var redirectHTTPS: Int?
    /// A PROXY header, version 1 or 2, is expected of every peer; only trusted ones may connect.
    package var acceptsProxyProtocol = false
    package var hsts: StrictTransportSecurity?

    package init(bind: Endpoint) {
        self.bind = bind
    }
}

/// RFC 6797; sent with every response of a TLS listener, our own errors included.
package struct StrictTransportSecurity: Sendable, Equatable {
    /// Seconds.
    package var maxAge: Int
    package var includeSubdomains: Bool

    package init(maxAge: Int = 31_536_000, includeSubdomains: Bool = false) {
        self.maxAge = maxAge
        self.includeSubdomains = includeSubdomains
    }
}

package struct ListenerTLS: Sendable, Equatable {
    /// Paths of PEM files; the same file where certificate and key are in one.
    package struct Certificate: Sendable, Equatable {
        package var certificate: String
        package var key: String

        package init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }

        package init(pem: String) {
            self.init(certificate: pem, key: pem)
        }
    }

    package enum Version: String, Sendable, CaseIterable {
        case tls12 = "1.2"
        case tls13 = "1.3"
    }

    package enum ApplicationProtocol: String, Sendable, CaseIterable {
        case http2 = "h2"
        case http11 = "http/1.1"
    }

    /// Cipher suites and curves by name; both have forward secrecy and AEAD ciphers only.
    package enum Profile: String, Sendable, CaseIterable {
        /// TLS 1.3's suites; with `minimum: "1.2"` the ECDHE suites with ECDSA or RSA as well.
        case modern
        /// For older clients: ChaCha20 and AES of 128 bits first, and P-384 among the curves.
        case intermediate
    }

    /// Chosen by the names in them (SNI); the first is for clients that send none or an unknown one.
    package var certificates: [Certificate]
    package var minimum = Version.tls12
    package var alpn: [ApplicationProtocol] = [.http2, .http11]
    package var profile = Profile.modern
    /// A PEM file: clients must show a certificate of one of these authorities (mutual TLS).
    package var clientAuthorities: String?

    package init(certificates: [Certificate]) {
        self.certificates = certificates
    }
}
