// Keyvane
// SPDX-License-Identifier: Apache-2.0

import COpenSSL
import CUV
import Glibc

/// A session's socket as OpenSSL sees it, in place of OpenSSL's own: one `recv` brings all records there are (its own costs two calls a
/// record), and a write to a peer that is gone is an error, not a signal. Owned by its session, whose `SSL` goes first.
final class TLSSocket {
    private let descriptor: Int32
    /// The `errno` of the last failed call.
    private(set) var lastError: Int32 = 0
    /// Records that were read for the session and that it has not taken yet; points into the caller's buffer for the time of one `receive`.
    private var staged: UnsafeRawBufferPointer?
    /// What was staged and not taken: a read that must write first stops in mid-buffer.
    private var unread: [UInt8] = []
    private var reachedEnd = false

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Gives the socket to a new `SSL`. False: no memory.
    func attach(to handle: OpaquePointer) -> Bool {
        guard let bio = BIO_new(TLSSocketMethod.shared.handle) else { return false }
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        SSL_set_bio(handle, bio, bio)
        return true
    }

    // MARK: Records ahead

    var hasUnread: Bool { !unread.isEmpty }
    var hasStaged: Bool { staged?.isEmpty == false }

    /// Reads what is there into `buffer`, from where the session's next reads are served. False, and nothing has changed: there is nothing.
    func stage(in buffer: UnsafeMutableRawBufferPointer) -> Bool {
        if !unread.isEmpty {
            buffer.copyBytes(from: unread)
            staged = UnsafeRawBufferPointer(rebasing: buffer[..<unread.count])
            unread = []
            return true
        }
        guard let count = receive(into: buffer.baseAddress, buffer.count) else {
            staged = nil
            return lastError != EAGAIN
        }
        staged = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        return true
    }

    /// The buffer is its owner's again.
    func unstage() {
        if let staged, !staged.isEmpty { unread = Array(staged) }
        staged = nil
    }

    // MARK: OpenSSL's calls

    private func receive(into buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int? {
        while true {
            let received = recv(descriptor, buffer, count, 0)
            if received == 0, count > 0 { reachedEnd = true }
            if received >= 0 { return received }
            lastError = errno
            if lastError != EINTR { return nil }
        }
    }

    fileprivate func read(_ bio: OpaquePointer?, into buffer: UnsafeMutablePointer<CChar>?, _ count: Int32) -> Int32 {
        cssl_clear_retry(bio)
        guard let buffer else { return 0 }
        if let staged {
            let taken = min(staged.count, Int(count))
            if taken > 0, let start = staged.baseAddress {
                memcpy(buffer, start, taken)
                self.staged = UnsafeRawBufferPointer(rebasing: staged[taken...])
                return Int32(taken)
            }
            if reachedEnd { return 0 }
            cssl_retry_read(bio)
            return -1
        }
        guard let received = receive(into: buffer, Int(count)) else {
            if lastError == EAGAIN { cssl_retry_read(bio) }
            return -1
        }
        return Int32(received)
    }

    fileprivate func write(_ bio: OpaquePointer?, _ bytes: UnsafePointer<CChar>?, _ count: Int32) -> Int32 {
        cssl_clear_retry(bio)
        while true {
            let sent = Glibc.send(descriptor, bytes, Int(count), Int32(MSG_NOSIGNAL))
            if sent >= 0 { return Int32(sent) }
            lastError = errno
            if lastError == EINTR { continue }
            if lastError == EAGAIN { cssl_retry_write(bio) }
            return -1
        }
    }

    /// Of all questions only these two have an answer: nothing is buffered here, and is this the end?
    fileprivate func control(_ command: Int32) -> Int {
        switch command {
        case BIO_CTRL_FLUSH: 1
        case BIO_CTRL_EOF: reachedEnd ? 1 : 0
        default: 0
        }
    }
}

/// The functions behind every such socket.
///
/// Unchecked: made once, never changed or freed.
private struct TLSSocketMethod: @unchecked Sendable {
    static let shared = TLSSocketMethod()

    let handle: OpaquePointer?

    private init() {
        handle = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket")
        guard let handle else { return }
        BIO_meth_set_read(handle) { bio, buffer, count in Self.owner(bio)?.read(bio, into: buffer, count) ?? -1 }
        BIO_meth_set_write(handle) { bio, bytes, count in Self.owner(bio)?.write(bio, bytes, count) ?? -1 }
        BIO_meth_set_ctrl(handle) { bio, command, _, _ in Self.owner(bio)?.control(command) ?? 0 }
    }

    private static func owner(_ bio: OpaquePointer?) -> TLSSocket? {
        BIO_get_data(bio).map { Unmanaged<TLSSocket>.fromOpaque($0).takeUnretainedValue() }
    }
}
