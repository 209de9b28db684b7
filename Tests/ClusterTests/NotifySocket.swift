// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport

/// The ear of a service manager, as processes find it in NOTIFY_SOCKET.
final class NotifySocket: Sendable {
    let path: String
    /// Each datagram.
    let messages = Events<String>()
    private let number: Int32

    /// A path that begins with `@` is in the abstract space.
    init(_ path: String) throws {
        self.path = path
        number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        if path.hasPrefix("@") { name[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let length = MemoryLayout<sa_family_t>.size + name.count
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(number, $0, socklen_t(length)) }
        }
        guard status == 0 else { throw DeadlinePassed("bind \(path): \(String(cString: strerror(errno)))") }
        // Ends at the first word of ours, in `deinit`.
        Thread.detachNewThread { [number, messages] in
            var buffer = [UInt8](repeating: 0, count: 4096)
            while case let count = recv(number, &buffer, buffer.count, 0), count > 0 {
                messages.emit(String(decoding: buffer[..<count], as: UTF8.self))
            }
            close(number)
        }
    }

    deinit { shutdown(number, Int32(SHUT_RDWR)) }

    /// As soon as so many have begun with this line.
    func hears(_ line: String, times: Int = 1) async throws {
        try await messages.until("\(line) for the \(times). time") { all in
            all.filter { $0.split(separator: "\n").contains { $0 == line } }.count >= times
        }
    }

    var lines: [String] { messages.all.map { String($0.split(separator: "\n").first ?? "") } }
}
