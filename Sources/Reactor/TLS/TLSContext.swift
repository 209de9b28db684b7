// Keyvane
// SPDX-License-Identifier: Apache-2.0

// TLS under a connection, by OpenSSL.
// Flows through: the handshake while a Connector still owns the socket; then records, below the calls of SocketTransport.
// Owner: a context is shared by all connections that trust alike; a session belongs to one connection and is confined to its loop.
// Must hold: no session without a verified certificate for the name that was asked for; TLS 1.2 at least; OpenSSL's pointers and error
//   queue stay in this folder; no key and no path of a key in an error.

import COpenSSL

/// Whom outgoing TLS trusts, and as whom it goes; loaded once, immutable.
///
/// Unchecked: nothing changes the handle after `init`, and OpenSSL counts its users atomically.
package final class TLSContext: @unchecked Sendable {
    private let handle: OpaquePointer

    /// - Parameters:
    ///   - authorities: a PEM file of certificates to trust; nil trusts the system's.
    ///   - certificate: a PEM file with our own certificate and its chain; it needs `key`.
    ///   - key: a PEM file with its key, not encrypted.
    /// - Throws: `tls_failed` with the file that can't be used.
    package init(authorities: String? = nil, certificate: String? = nil, key: String? = nil) throws(ReactorError) {
        ERR_clear_error()
        guard let handle = SSL_CTX_new(TLS_client_method()) else { throw Self.refusal("OpenSSL can't be used") }
        self.handle = handle
        cssl_set_minimum_version(handle, TLS1_2_VERSION)
        // Idle sessions give their buffers back. A refused write may come again from another place: see `TLSSession.send`.
        cssl_set_mode(handle, Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER) | Int(SSL_MODE_RELEASE_BUFFERS))
        SSL_CTX_set_options(handle, Self.noRenegotiation)
        SSL_CTX_set_verify(handle, SSL_VERIFY_PEER, nil)
        // OpenSSL would ask for the password of an encrypted key on the terminal.
        SSL_CTX_set_default_passwd_cb(handle) { _, _, _, _ in 0 }
        if let authorities {
            guard SSL_CTX_load_verify_file(handle, authorities) == 1 else {
                throw Self.refusal("the file of trusted certificates can't be used")
            }
        } else {
            guard SSL_CTX_set_default_verify_paths(handle) == 1 else { throw Self.refusal("the system's certificates can't be used") }
        }
        guard certificate != nil || key != nil else { return }
        guard let certificate, let key else {
            throw ReactorError(.tlsFailed, "a certificate of our own needs its key, and the key its certificate")
        }
        guard SSL_CTX_use_certificate_chain_file(handle, certificate) == 1 else {
            throw Self.refusal("our own certificate can't be used")
        }
        guard SSL_CTX_use_PrivateKey_file(handle, key, SSL_FILETYPE_PEM) == 1 else {
            throw Self.refusal("the key of our own certificate can't be used (it must be PEM, without a password)")
        }
        guard SSL_CTX_check_private_key(handle) == 1 else { throw Self.refusal("the key doesn't belong to our own certificate") }
    }

    deinit { SSL_CTX_free(handle) }

    func withHandle<Value>(_ body: (OpaquePointer) -> Value) -> Value {
        body(handle)
    }

    /// `SSL_OP_NO_RENEGOTIATION`, a macro with a cast in it.
    private static let noRenegotiation: UInt64 = 1 << 30

    private static func refusal(_ what: String) -> ReactorError {
        ReactorError(.tlsFailed, "\(what): \(TLSErrors.take())")
    }
}
