// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV
import Glibc

/// Owns one file descriptor and closes it when it goes.
package struct Descriptor: ~Copyable, Sendable {
    package let number: Int32

    package init(owning number: Int32) {
        self.number = number
    }

    deinit {
        _ = Glibc.close(number)
    }

    /// A non-blocking, close-on-exec stream socket.
    static func socket(family: Int32) throws(ReactorError) -> Descriptor {
        let number = Glibc.socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw ReactorError.system("open a socket", errno: errno) }
        return Descriptor(owning: number)
    }

    func setOption(_ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        // Every option set here is advisory: its refusal costs speed or detection time, not correctness.
        _ = setsockopt(number, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// nil where the kernel doesn't know it for this descriptor.
    func option(_ level: Int32, _ name: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(number, level, name, &value, &length) == 0 ? value : nil
    }

    /// No delay, and keepalive that finds a dead peer after 30 s and five probes 10 s apart.
    func setStreamOptions() {
        setOption(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        setOption(SOL_SOCKET, SO_KEEPALIVE, 1)
        setOption(Int32(IPPROTO_TCP), TCP_KEEPIDLE, 30)
        setOption(Int32(IPPROTO_TCP), TCP_KEEPINTVL, 10)
        setOption(Int32(IPPROTO_TCP), TCP_KEEPCNT, 5)
    }

    var localAddress: SocketAddress? { name(getsockname) }
    var remoteAddress: SocketAddress? { name(getpeername) }

    /// The outcome of a non-blocking connect: 0, or its `errno`.
    var pendingError: Int32 {
        option(SOL_SOCKET, SO_ERROR) ?? errno
    }

    private func name(_ call: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32) -> SocketAddress? {
        var storage = sockaddr_storage()
        return withUnsafeMutableBytes(of: &storage) { raw in
            guard let base = raw.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return nil }
            var length = socklen_t(raw.count)
            return call(number, base, &length) == 0 ? SocketAddress(base, length: Int(length)) : nil
        }
    }
}
