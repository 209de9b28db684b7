// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor

/// The kernel's part of a client that doesn't read: up to 32 MiB by its own rules, behind which no server's limit would show.
enum ReceiveBuffer {
    /// Makes it small for one connection, which is found among this process's descriptors by its port.
    static func shrink(of connection: Connection) {
        guard let port = connection.localAddress?.port else { return }
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
            guard let number = Int32(name), Self.port(of: number) == port else { continue }
            var size: Int32 = 64 * 1024
            setsockopt(number, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    private static func port(of number: Int32) -> UInt16? {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(number, $0, &length) }
        }
        return status == 0 && address.sin_family == sa_family_t(AF_INET) ? UInt16(bigEndian: address.sin_port) : nil
    }
}
