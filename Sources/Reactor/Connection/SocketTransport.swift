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

/// The plain socket under a connection; owned by it. TLS takes this place with the same calls, so a connection never sees records or handshakes.
struct SocketTransport: ~Copyable {
    private var descriptor: Descriptor?

    init(_ descriptor: consuming Descriptor) {
        self.descriptor = consume descriptor
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

    func shutdownOutput() {
        _ = shutdown(number, Int32(SHUT_WR))
    }

    func resetOnClose() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(number, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
    }

    mutating func close() {
        descriptor = nil
    }
}
