// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// What the clients of one listener have in common. Shared by all loops; immutable but for the count.
final class ListenerTraits: Sendable {
    /// As the access log names it: the address of the configuration.
    let name: String
    let address: SocketAddress
    /// Its clients speak TLS.
    let isSecure: Bool
    /// The whole `Strict-Transport-Security` line; empty where there is none. Only TLS listeners send it (RFC 6797 section 7.2).
    let transportSecurity: [UInt8]
    let sessions = SessionCount()

    /// Its certificates; nil where it is plain.
    let identity: TLSServerIdentity?
    /// Peers begin with a PROXY header.
    let acceptsProxyProtocol: Bool
    /// Where its clients are sent to https.
    let redirect: HTTPSRedirect?

    /// `securePort` is the port of the TLS listener that a redirect leads to.
    init(_ configuration: ListenerConfiguration, address: SocketAddress, identity: TLSServerIdentity? = nil, securePort: UInt16? = nil) {
        name = configuration.bind.description
        self.address = address
        self.identity = identity
        acceptsProxyProtocol = configuration.acceptsProxyProtocol
        redirect = configuration.redirectHTTPS.map { HTTPSRedirect(status: $0, port: securePort == 443 ? nil : securePort) }
        isSecure = configuration.tls != nil
        transportSecurity = isSecure ? configuration.hsts?.line ?? [] : []
    }
}

extension StrictTransportSecurity {
    fileprivate var line: [UInt8] {
        Array("Strict-Transport-Security: max-age=\(maxAge)\(includeSubdomains ? "; includeSubDomains" : "")\r\n".utf8)
    }
}
