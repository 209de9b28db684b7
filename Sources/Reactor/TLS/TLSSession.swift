// Keyvane
// SPDX-License-Identifier: Apache-2.0

import COpenSSL
import Glibc

/// How far a handshake is.
enum HandshakeOutcome {
    case finished
    case waits(PollEvents)
    case failed(ReactorError)
}

/// One TLS connection over a non-blocking descriptor, which its owner closes after the session has gone. Confined to its loop.
///
/// A `receive` hands out all records that came; what it must leave behind, no poll event announces: see `hasUnreported`.
final class TLSSession {
    private static let largestRecord = 16 * 1024
    /// Of `receive`'s buffer, before the place where records are read to: one record of which all but the last byte had come before.
    private static let headroom = largestRecord + 2048

    private let handle: OpaquePointer
    private let socket: TLSSocket
    private let peer: String
    /// OpenSSL's callbacks ask it; a client's handle needs none.
    private let server: TLSServerContext?
    /// What a refused write held. OpenSSL has made a record of it and must be given the same bytes again, while a caller may come with
    /// others; so they count as taken.
    private var held: [UInt8] = []
    private var saysGoodbye = false
    private var isBroken = false
    // A read may have to write first, and a write to read (key updates); then the other readiness counts.
    private var readWaitsForWriting = false
    private var writeWaitsForReading = false
    /// An end or a failure that was found behind bytes; the next `receive` tells.
    private var unreported: TransferOutcome?
    /// Why the session broke, where it wasn't the socket.
    private(set) var failure: ReactorError?

    /// `host` is the name or the numeric address that the certificate must be for; `peer` is for messages.
    init(_ context: TLSContext, descriptor: Int32, host: String, peer: String) throws(ReactorError) {
        ERR_clear_error()
        guard let handle = context.withHandle({ SSL_new($0) }) else {
            throw ReactorError(.tlsFailed, "TLS with \(peer): \(TLSErrors.take())")
        }
        self.handle = handle
        self.peer = peer
        server = nil
        socket = TLSSocket(descriptor: descriptor)
        let isSet: Bool
        if SocketAddress(numeric: host, port: 0) != nil {
            isSet = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(handle), host) == 1
        } else {
            SSL_set_hostflags(handle, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            isSet = SSL_set1_host(handle, host) == 1 && cssl_set_server_name(handle, host) == 1
        }
        // With an empty name OpenSSL checks none.
        guard !host.isEmpty, isSet, socket.attach(to: handle) else {
            throw ReactorError(.tlsFailed, "TLS with \(peer): no certificate can be checked for '\(host)'")
        }
        SSL_set_connect_state(handle)
    }

    /// The server's side; `peer` is for messages.
    init(accepting context: TLSServerContext, descriptor: Int32, peer: String) throws(ReactorError) {
        ERR_clear_error()
        guard let handle = context.newHandle() else {
            throw ReactorError(.tlsFailed, "TLS with \(peer): \(TLSErrors.take())")
        }
        self.handle = handle
        self.peer = peer
        server = context
        socket = TLSSocket(descriptor: descriptor)
        guard socket.attach(to: handle) else { throw ReactorError(.tlsFailed, "TLS with \(peer): no memory") }
        SSL_set_accept_state(handle)
    }

    deinit { SSL_free(handle) }

    /// What the handshake agreed on.
    var facts: TLSFacts { TLSFacts(handle) }

    /// Goes on with the handshake; to be called again when the socket is ready for what it waits for.
    func shakeHands() -> HandshakeOutcome {
        ERR_clear_error()
        let status = SSL_do_handshake(handle)
        guard status != 1 else {
            // The handshake's buffers; an idle connection owns none.
            SSL_free_buffers(handle)
            return .finished
        }
        switch SSL_get_error(handle, status) {
        case SSL_ERROR_WANT_READ: return .waits(.readable)
        case SSL_ERROR_WANT_WRITE: return .waits(.writable)
        case SSL_ERROR_SYSCALL where socket.lastError != 0: return .failed(.system("TLS with \(peer)", errno: socket.lastError))
        default: return .failed(ReactorError(.tlsFailed, "TLS with \(peer): \(handshakeFault())"))
        }
    }

    private func handshakeFault() -> String {
        let verdict = SSL_get_verify_result(handle)
        if verdict != X509_V_OK {
            return "its certificate is refused: \(String(cString: X509_verify_cert_error_string(verdict)))"
        }
        switch TLSErrors.reason {
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST: return "what answers there doesn't speak TLS"
        case SSL_R_UNEXPECTED_EOF_WHILE_READING: return "it closed the connection during the handshake"
        default: return TLSErrors.take()
        }
    }

    // MARK: Bytes

    /// Records are read to the buffer's rear and their content written from its front, which stays behind them: content is never longer
    /// than its records, but for the part of the first one that came earlier, and that has its headroom.
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> TransferOutcome {
        precondition(buffer.count >= 2 * Self.headroom, "no room for a record and its content")
        if let unreported {
            self.unreported = nil
            return unreported
        }
        guard socket.stage(in: UnsafeMutableRawBufferPointer(rebasing: buffer[Self.headroom...])) || readWaitsForWriting else {
            return .wouldBlock
        }
        defer { socket.unstage() }
        var filled = 0
        repeat {
            ERR_clear_error()
            var count = 0
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...].prefix(Self.largestRecord))
            let status = SSL_read_ex(handle, room.baseAddress, room.count, &count)
            readWaitsForWriting = false
            guard status == 1 else {
                let outcome = unfinished(status, isRead: true)
                guard filled > 0 else { return outcome }
                if case .wouldBlock = outcome { break }
                unreported = outcome
                break
            }
            filled += count
        } while socket.hasStaged
        return .moved(filled)
    }

    /// The next `receive` has something to tell that no event of the socket announces.
    var hasUnreported: Bool { unreported != nil || socket.hasUnread && !readWaitsForWriting }

    /// Takes what goes, and what OpenSSL has begun with.
    func send(_ bytes: Span<UInt8>) -> TransferOutcome {
        switch flush() {
        case .moved: break
        case .wouldBlock: return .wouldBlock
        case .end: return .end
        case .failed(let number): return .failed(number)
        }
        var sent = 0
        while sent < bytes.count {
            let record = bytes.extracting(sent..<min(sent + Self.largestRecord, bytes.count))
            switch write(record) {
            case .moved(let count): sent += count
            case .wouldBlock:
                record.withUnsafeBufferPointer { held.append(contentsOf: $0) }
                return .moved(sent + record.count)
            case .end: return .end
            case .failed(let number): return .failed(number)
            }
        }
        return .moved(sent)
    }

    /// Bytes that were taken and have not gone.
    var heldBytes: Int { held.count }
    /// Something taken waits for the socket.
    var isHolding: Bool { !held.isEmpty || saysGoodbye }

    /// `moved(0)` once nothing is held any more.
    func flush() -> TransferOutcome {
        while !held.isEmpty {
            switch write(held.span) {
            case .moved(let count): held.removeFirst(count)
            case .wouldBlock: return .wouldBlock
            case .end: return .end
            case .failed(let number): return .failed(number)
            }
        }
        held = []
        return saysGoodbye ? sayGoodbye() : .moved(0)
    }

    private func write(_ bytes: Span<UInt8>) -> TransferOutcome {
        guard bytes.count > 0 else { return .moved(0) }
        ERR_clear_error()
        var count = 0
        let status = bytes.withUnsafeBytes { SSL_write_ex(handle, $0.baseAddress, $0.count, &count) }
        writeWaitsForReading = false
        return status == 1 ? .moved(count) : unfinished(status, isRead: false)
    }

    private func unfinished(_ status: Int32, isRead: Bool) -> TransferOutcome {
        switch SSL_get_error(handle, status) {
        case SSL_ERROR_WANT_READ:
            writeWaitsForReading = !isRead
            return .wouldBlock
        case SSL_ERROR_WANT_WRITE:
            readWaitsForWriting = isRead
            return .wouldBlock
        case SSL_ERROR_ZERO_RETURN:
            return .end
        case SSL_ERROR_SYSCALL:
            isBroken = true
            return .failed(socket.lastError == 0 ? ECONNRESET : socket.lastError)
        default:
            isBroken = true
            // The end of the stream without a farewell may be anybody's doing: as good as a reset.
            guard TLSErrors.reason != SSL_R_UNEXPECTED_EOF_WHILE_READING else { return .failed(ECONNRESET) }
            failure = ReactorError(.tlsFailed, "TLS with \(peer): \(TLSErrors.take())")
            return .failed(EPROTO)
        }
    }

    /// Nothing goes any more, so nothing is kept.
    func stopSending() {
        held = []
        saysGoodbye = false
        writeWaitsForReading = false
    }

    // MARK: Readiness

    /// What to poll for when the connection waits for `events`.
    func interest(_ events: PollEvents) -> PollEvents {
        var interest: PollEvents = []
        if events.contains(.readable) { interest.insert(readWaitsForWriting ? .writable : .readable) }
        if events.contains(.writable) { interest.insert(writeWaitsForReading ? .readable : .writable) }
        return interest
    }

    /// What the connection can try after `events` of the socket.
    func possible(_ events: PollEvents) -> PollEvents {
        var possible = events
        if events.contains(.writable), readWaitsForWriting { possible.insert(.readable) }
        if events.contains(.readable), writeWaitsForReading { possible.insert(.writable) }
        return possible
    }

    // MARK: The end

    /// Sends close_notify, our FIN; `moved(0)` when it has gone.
    func sayGoodbye() -> TransferOutcome {
        // A second call would wait for the peer's.
        guard saysGoodbye || SSL_get_shutdown(handle) & SSL_SENT_SHUTDOWN == 0 else { return .moved(0) }
        ERR_clear_error()
        let status = SSL_shutdown(handle)
        saysGoodbye = status < 0 && SSL_get_error(handle, status) == SSL_ERROR_WANT_WRITE
        return saysGoodbye ? .wouldBlock : .moved(0)
    }

    /// No farewell any more: what was sent is not all.
    func abandon() {
        isBroken = true
    }

    /// For a connection that is closed now: a farewell where one can still be understood.
    func close() {
        // After half a record or a fatal error it would be an error of its own, before a reset a lie.
        guard !isBroken, held.isEmpty else { return }
        _ = sayGoodbye()
    }
}
