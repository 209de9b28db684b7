// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A plain blocking socket to a port or a path of this machine: sends and reads exactly what a test says, as any foreign client might.
package final class RawSocket: Sendable {
    private let number: Int32

    package init(port: UInt16) throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        number = try Self.connected(AF_INET, &address, "127.0.0.1:\(port)")
    }

    /// To a Unix socket.
    package init(path: String) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        number = try Self.connected(AF_UNIX, &address, path)
    }

    private static func connected<Address>(_ family: Int32, _ address: inout Address, _ name: String) throws -> Int32 {
        let number = socket(family, Int32(SOCK_STREAM.rawValue), 0)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(number, $0, socklen_t(MemoryLayout<Address>.size)) }
        }
        guard status == 0 else {
            let cause = errno
            close(number)
            throw DeadlinePassed("connect to \(name): \(String(cString: strerror(cause)))")
        }
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        return number
    }

    deinit { close(number) }

    /// False where the peer has gone before everything was taken.
    @discardableResult
    package func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { send(number, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    @discardableResult
    package func write(_ text: String) -> Bool { write(Array(text.utf8)) }

    /// What is there, at least a byte; empty at the end of the stream or after 30 s.
    package func read(limit: Int = 1 << 20) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = recv(number, &buffer, limit, 0)
        return count > 0 ? Array(buffer[..<count]) : []
    }

    /// Drops `count` bytes.
    package func skip(count: Int) {
        var left = count
        while left > 0 {
            let got = read().count
            guard got > 0 else { return }
            left -= got
        }
    }

    /// Everything up to the end of the stream, without stopping a thread that others need.
    package func readToEnd() async -> [UInt8] {
        await withCheckedContinuation { continuation in
            // A thread of its own: the global queue's threads are the ones that a server in this process runs on.
            Thread.detachNewThread { [self] in
                var all: [UInt8] = []
                while true {
                    let more = read()
                    if more.isEmpty { break }
                    all += more
                }
                continuation.resume(returning: all)
            }
        }
    }

    package func finishSending() {
        shutdown(number, Int32(SHUT_WR))
    }

    /// Ends the connection with RST instead of FIN.
    package func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(number, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        // The number stays this object's own, so that `deinit` can't close somebody else's file.
        let null = open("/dev/null", O_RDONLY)
        dup2(null, number)
        close(null)
    }
}
