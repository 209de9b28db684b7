// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV
import Glibc

/// What a non-blocking call moved.
enum TransferOutcome {
    case moved(Int)
    case wouldBlock
    case end
    /// The `errno`.
    case failed(Int32)
}

/// The socket under a connection, with TLS where the connection has a session; owned by it. The calls are the same, so a connection never
/// sees records or handshakes, and a plain one carries a pointer that is nil.
struct SocketTransport: ~Copyable {
    private var descriptor: Descriptor?
    private var session: TLSSession?

    /// The session's handshake has been done.
    init(_ descriptor: consuming Descriptor, _ session: TLSSession? = nil) {
        self.descriptor = consume descriptor
        self.session = session
    }

    private var number: Int32 {
        switch descriptor {
        case .some(let descriptor): descriptor.number
        case .none: -1
        }
    }

    var descriptorAddress: SocketAddress? {
        switch descriptor {
        case .some(let descriptor): descriptor.localAddress
        case .none: nil
        }
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer) -> TransferOutcome {
        if let session { return session.receive(into: buffer) }
        while true {
            let count = recv(number, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .moved(count) }
            if count == 0 { return .end }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case let number: return .failed(number)
            }
        }
    }

    func send(_ bytes: Span<UInt8>) -> TransferOutcome {
        guard bytes.count > 0 else { return .moved(0) }
        if let session { return session.send(bytes) }
        let number = number
        return bytes.withUnsafeBytes { raw in
            while true {
                let count = Glibc.send(number, raw.baseAddress, raw.count, Int32(MSG_NOSIGNAL))
                if count >= 0 { return .moved(count) }
                switch errno {
                case EINTR: continue
                case EAGAIN: return .wouldBlock
                case let number: return .failed(number)
                }
            }
        }
    }

    // MARK: What TLS adds

    /// Bytes that `send` took and the kernel has not; a plain socket has none.
    var heldBytes: Int { session?.heldBytes ?? 0 }
    /// A `flush` is due when the socket is writable.
    var isHolding: Bool { session?.isHolding ?? false }

    /// `moved(0)` once nothing is held any more.
    func flush() -> TransferOutcome {
        session?.flush() ?? .moved(0)
    }

    /// The next `receive` has something to tell that no event announces.
    var hasUnreported: Bool { session?.hasUnreported ?? false }

    var facts: TLSFacts? { session?.facts }

    /// What to poll for when the connection waits for `events`, and what it can try after them.
    func interest(_ events: PollEvents) -> PollEvents { session?.interest(events) ?? events }
    func possible(_ events: PollEvents) -> PollEvents { session?.possible(events) ?? events }

    /// Why a call failed, where it wasn't the socket that did.
    var failure: ReactorError? { session?.failure }

    // MARK: The end

    /// A write found the peer gone.
    func stopSending() {
        session?.stopSending()
    }

    func shutdownOutput() {
        // The socket's own FIN after it would cut off a farewell that still waits.
        if let session, case .wouldBlock = session.sayGoodbye() { return }
        _ = shutdown(number, Int32(SHUT_WR))
    }

    func limitUnacknowledged(to duration: Duration) {
        var milliseconds = UInt32(clamping: duration.wholeMilliseconds)
        _ = setsockopt(number, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, socklen_t(MemoryLayout.size(ofValue: milliseconds)))
    }

    func resetOnClose() {
        // A farewell would say that the stream is complete.
        session?.abandon()
        var linger = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(number, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
    }

    mutating func close() {
        session?.close()
        session = nil
        descriptor = nil
    }
}
