// Keyvane
// SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// One state of a listener's TLS: certificates with the names they are for, and the rules of its handshakes. Loaded once, immutable.
///
/// Unchecked: nothing changes the handles after `init`, and OpenSSL counts their users atomically.
package final class TLSServerContext: @unchecked Sendable {
    private let tickets: TLSTicketKeys
    /// One a certificate; the first is the default.
    private var handles: [OpaquePointer] = []
    /// Names in lower case, a wildcard without its asterisk: `.example.com`.
    private var positions: [String: Int] = [:]
    /// As on the wire: each with its length before it.
    private let protocols: [UInt8]

    /// - Throws: `tls_failed` with what can't be used; certificates are counted from 1.
    package init(_ options: TLSServerOptions, tickets: TLSTicketKeys) throws(ReactorError) {
        self.tickets = tickets
        protocols = try Self.wireForm(options.applicationProtocols)
        guard !options.certificates.isEmpty else { throw ReactorError(.tlsFailed, "TLS needs a certificate") }
        for (index, certificate) in options.certificates.enumerated() {
            ERR_clear_error()
            guard let handle = SSL_CTX_new(TLS_server_method()) else { throw Self.refusal("OpenSSL can't be used") }
            handles.append(handle)
            try configure(handle, options)
            try Self.load(certificate, "certificate \(index + 1)", into: handle)
            for name in Self.names(of: handle) where positions[name] == nil { positions[name] = index }
        }
    }

    deinit {
        for handle in handles { SSL_CTX_free(handle) }
    }

    /// The names that choose a certificate, for logs.
    package var serverNames: [String] { positions.keys.map { $0.hasPrefix(".") ? "*\($0)" : $0 }.sorted() }

    /// A session that has not begun; its owner keeps this context too.
    func newHandle() -> OpaquePointer? {
        SSL_new(handles[0])
    }

    // MARK: Rules

    private func configure(_ handle: OpaquePointer, _ options: TLSServerOptions) throws(ReactorError) {
        cssl_set_minimum_version(handle, options.minimum.number)
        cssl_set_mode(handle, Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER) | Int(SSL_MODE_RELEASE_BUFFERS))
        SSL_CTX_set_options(handle, Self.options)
        guard SSL_CTX_set_cipher_list(handle, options.profile.ciphers) == 1,
            SSL_CTX_set_ciphersuites(handle, options.profile.suites) == 1, cssl_set_groups(handle, options.profile.groups) == 1
        else { throw Self.refusal("the ciphers of '\(options.profile.rawValue)' can't be used") }
        // Sessions live in tickets only: nothing grows here with the number of clients. One a handshake is enough for clients to go on.
        cssl_disable_session_cache(handle)
        SSL_CTX_set_num_tickets(handle, 1)
        SSL_CTX_set_timeout(handle, Int(TLSTicketKeys.lifetime))
        SSL_CTX_set_ex_data(handle, 0, Unmanaged.passUnretained(self).toOpaque())
        SSL_CTX_set_tlsext_ticket_key_evp_cb(handle) { session, name, iv, cipher, mac, encrypts in
            guard let name, let iv, let context = TLSServerContext.of(session) else { return -1 }
            return context.tickets.protect(name: name, iv: iv, cipher, mac, encrypts: encrypts == 1)
        }
        cssl_on_server_name(handle) { session, _, _ in TLSServerContext.of(session)?.choose(for: session) ?? SSL_TLSEXT_ERR_NOACK }
        if !protocols.isEmpty {
            SSL_CTX_set_alpn_select_cb(
                handle,
                { session, chosen, length, offered, count, _ in
                    TLSServerContext.of(session)?.agree(chosen, length, offered, count) ?? SSL_TLSEXT_ERR_ALERT_FATAL
                },
                nil
            )
        }
        // OpenSSL would ask for the password of an encrypted key on the terminal.
        SSL_CTX_set_default_passwd_cb(handle) { _, _, _, _ in 0 }
        try trustClients(handle, options.clientAuthorities)
    }

    /// A ticket is good only where the same clients are trusted: otherwise it would carry a client past the authority it must show.
    private func trustClients(_ handle: OpaquePointer, _ authorities: String?) throws(ReactorError) {
        var scope = Array("keyvane".utf8)
        if let authorities {
            guard SSL_CTX_load_verify_file(handle, authorities) == 1, let names = SSL_load_client_CA_file(authorities) else {
                throw Self.refusal("the file of the clients' authorities can't be used")
            }
            SSL_CTX_set_client_CA_list(handle, names)
            SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
            scope += Self.fingerprints(SSL_CTX_get_cert_store(handle))
        }
        var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        SHA256(scope, scope.count, &digest)
        SSL_CTX_set_session_id_context(handle, digest, UInt32(digest.count))
    }

    /// Of all certificates in a store, in its order.
    private static func fingerprints(_ store: OpaquePointer?) -> [UInt8] {
        guard let certificates = X509_STORE_get1_all_certs(store) else { return [] }
        defer { cssl_free_certificates(certificates) }
        var all: [UInt8] = []
        for index in 0..<cssl_count_certificates(certificates) {
            var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
            var count: UInt32 = 0
            X509_digest(cssl_certificate(certificates, index), EVP_sha256(), &digest, &count)
            all += digest[..<Int(count)]
        }
        return all
    }

    private static func load(_ certificate: TLSServerOptions.Certificate, _ what: String, into handle: OpaquePointer) throws(ReactorError) {
        guard SSL_CTX_use_certificate_chain_file(handle, certificate.certificate) == 1 else { throw refusal("\(what) can't be used") }
        guard SSL_CTX_use_PrivateKey_file(handle, certificate.key, SSL_FILETYPE_PEM) == 1 else {
            throw refusal("the key of \(what) can't be used (it must be PEM, without a password, and belong to it)")
        }
        guard SSL_CTX_check_private_key(handle) == 1 else { throw refusal("the key doesn't belong to \(what)") }
    }

    /// `SSL_OP_…`, macros with casts in them: no renegotiation, no compression, our order of ciphers, but ChaCha20 for clients whose first
    /// choice it is (they have no AES in hardware).
    private static let options: UInt64 = 1 << 30 | 1 << 17 | 1 << 22 | 1 << 21

    private static func wireForm(_ names: [String]) throws(ReactorError) -> [UInt8] {
        var bytes: [UInt8] = []
        for name in names {
            guard (1...255).contains(name.utf8.count) else { throw ReactorError(.tlsFailed, "an ALPN name has 1 to 255 bytes") }
            bytes.append(UInt8(name.utf8.count))
            bytes += name.utf8
        }
        return bytes
    }

    private static func refusal(_ what: String) -> ReactorError {
        ReactorError(.tlsFailed, "\(what): \(TLSErrors.take())")
    }

    // MARK: Callbacks, within a handshake

    private static func of(_ session: OpaquePointer?) -> TLSServerContext? {
        guard let session, let data = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(session), 0) else { return nil }
        return Unmanaged<TLSServerContext>.fromOpaque(data).takeUnretainedValue()
    }

    private func choose(for session: OpaquePointer?) -> Int32 {
        guard let name = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name) else { return SSL_TLSEXT_ERR_NOACK }
        let text = String(cString: name).lowercased()
        var position = positions[text]
        // A wildcard stands for one label (RFC 6125 section 6.4.3).
        if position == nil, let dot = text.firstIndex(of: ".") { position = positions[String(text[dot...])] }
        if let position, position > 0 { SSL_set_SSL_CTX(session, handles[position]) }
        return SSL_TLSEXT_ERR_OK
    }

    private func agree(
        _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
        _ length: UnsafeMutablePointer<UInt8>?,
        _ offered: UnsafePointer<UInt8>?,
        _ count: UInt32
    ) -> Int32 {
        guard let chosen, let length, let offered else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        // The client's own copy of the name is answered with: it lives as long as its hello.
        let theirs = UnsafeBufferPointer(start: offered, count: Int(count))
        for own in Self.entries(protocols.indices, of: protocols) {
            for entry in Self.entries(theirs.indices, of: theirs) where theirs[entry].elementsEqual(protocols[own]) {
                chosen.pointee = offered + entry.lowerBound
                length.pointee = UInt8(entry.count)
                return SSL_TLSEXT_ERR_OK
            }
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }

    /// The names in a list that has each one's length before it.
    private static func entries<Bytes: RandomAccessCollection<UInt8>>(_ range: Range<Int>, of bytes: Bytes) -> [Range<Int>]
    where Bytes.Index == Int {
        var entries: [Range<Int>] = []
        var start = range.lowerBound
        while start < range.upperBound {
            let end = start + 1 + Int(bytes[start])
            guard end <= range.upperBound else { break }
            entries.append(start + 1..<end)
            start = end
        }
        return entries
    }

    // MARK: Names

    private static func names(of handle: OpaquePointer) -> [String] {
        final class Names {
            var all: [String] = []
        }
        let names = Names()
        cssl_each_name(SSL_CTX_get0_certificate(handle), Unmanaged.passUnretained(names).toOpaque()) { owner, bytes, count in
            guard let owner, let bytes, count > 0 else { return }
            let name = String(decoding: UnsafeBufferPointer(start: bytes, count: Int(count)), as: UTF8.self).lowercased()
            Unmanaged<Names>.fromOpaque(owner).takeUnretainedValue().all.append(name.hasPrefix("*.") ? String(name.dropFirst()) : name)
        }
        return names.all
    }
}
