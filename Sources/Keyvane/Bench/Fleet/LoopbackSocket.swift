// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A bare TCP socket to a server on this machine: owned, and closed, by the caller.
enum LoopbackSocket {
    static func connect(port: UInt16, isBlocking: Bool = false) -> Int32 {
        let flags = Int32(SOCK_CLOEXEC.rawValue) | (isBlocking ? 0 : Int32(SOCK_NONBLOCK.rawValue))
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | flags, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard descriptor >= 0, status == 0 || errno == EINPROGRESS else {
            BenchExit.fail("no connection to port \(port): \(String(cString: strerror(errno)))")
        }
        return descriptor
    }

    /// What is sent here is short and finds an empty socket.
    static func send(_ bytes: [UInt8], on descriptor: Int32) {
        _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }
}
