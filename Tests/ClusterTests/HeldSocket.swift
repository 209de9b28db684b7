// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport

/// A listening socket on a port of its own that stays while its users come and go, as a service manager's does.
final class HeldSocket: Sendable {
    let port: UInt16
    private let number: Int32

    init() throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(socket) }
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, length) == 0 && listen(socket, 4096) == 0 && getsockname(socket, $0, &length) == 0
            }
        }
        guard status else { throw DeadlinePassed("a socket to hold: \(String(cString: strerror(errno)))") }
        port = UInt16(bigEndian: address.sin_port)
        // Inherited by children, and out of the way of what they open.
        number = fcntl(socket, F_DUPFD, 200)
    }

    deinit { close(number) }

    /// The arguments of bash that run `program` with the socket as its first passed one.
    func arguments(_ program: [String], name: String = "web") -> [String] {
        let script = "exec 3<&\(number) \(number)<&-; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=\(name); exec \"$0\" \"$@\""
        return ["-c", script] + program
    }
}
