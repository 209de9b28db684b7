// Keyvane
// SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// What a handshake agreed on.
package struct TLSFacts: Sendable, Hashable {
    package enum Version: String, Sendable, CaseIterable {
        case v12 = "1.2"
        case v13 = "1.3"

        var number: Int32 {
            switch self {
            case .v12: TLS1_2_VERSION
            case .v13: TLS1_3_VERSION
            }
        }
    }

    package let version: Version
    /// By ALPN: `h2`, `http/1.1`; nil where the client offered none.
    package let applicationProtocol: String?
    /// By SNI, in lower case.
    package let serverName: String?
    /// As OpenSSL names it.
    package let cipher: String
    /// A session of an earlier connection was taken up again.
    package let isResumed: Bool

    init(_ handle: OpaquePointer) {
        version = SSL_version(handle) == TLS1_2_VERSION ? .v12 : .v13
        var start: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(handle, &start, &count)
        let alpn = UnsafeBufferPointer(start: start, count: Int(count))
        applicationProtocol = alpn.isEmpty ? nil : String(decoding: alpn, as: UTF8.self)
        serverName = SSL_get_servername(handle, TLSEXT_NAMETYPE_host_name).map { String(cString: $0).lowercased() }
        cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(handle)).map { String(cString: $0) } ?? ""
        isResumed = SSL_session_reused(handle) == 1
    }
}
