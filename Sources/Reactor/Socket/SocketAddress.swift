// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Addresses and descriptors: how sockets are named, opened and owned.
// Flows through: text from configuration to socket addresses, and file descriptors from the kernel to their one owner.
// Owner: a `Descriptor` closes what it holds; a `ListenSocket` is bound before the loops that accept on it exist.
// Must hold: no descriptor number is used after its owner has closed it; all sockets are non-blocking and close-on-exec.

import CUV
import Glibc

/// A resolved address: IPv4, IPv6 or the path of a Unix socket.
package enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// Host byte order.
    case v4(UInt32, port: UInt16)
    case v6([UInt8], port: UInt16, scope: UInt32)
    case unix(String)

    /// Reads a numeric IPv4 or IPv6 address; nil for a host name.
    package init?(numeric host: String, port: UInt16) {
        // C would read as far as a NUL and say yes.
        guard !host.utf8.contains(0) else { return nil }
        var four = in_addr()
        var six = in6_addr()
        if inet_pton(AF_INET, host, &four) == 1 {
            self = .v4(UInt32(bigEndian: four.s_addr), port: port)
        } else if inet_pton(AF_INET6, host, &six) == 1 {
            self = .v6(withUnsafeBytes(of: six) { Array($0) }, port: port, scope: 0)
        } else {
            return nil
        }
    }

    init?(_ address: UnsafePointer<sockaddr>?, length: Int) {
        guard let address else { return nil }
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET where length >= MemoryLayout<sockaddr_in>.size:
            let value = raw.loadUnaligned(as: sockaddr_in.self)
            self = .v4(UInt32(bigEndian: value.sin_addr.s_addr), port: UInt16(bigEndian: value.sin_port))
        case AF_INET6 where length >= MemoryLayout<sockaddr_in6>.size:
            let value = raw.loadUnaligned(as: sockaddr_in6.self)
            let bytes = withUnsafeBytes(of: value.sin6_addr) { Array($0) }
            self = .v6(bytes, port: UInt16(bigEndian: value.sin6_port), scope: value.sin6_scope_id)
        case AF_UNIX:
            // A client's end of a Unix socket has no name.
            let offset = MemoryLayout<sa_family_t>.size
            let bytes = UnsafeRawBufferPointer(start: raw + offset, count: max(0, length - offset))
            self = .unix(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
        default:
            return nil
        }
    }

    var family: Int32 {
        switch self {
        case .v4: AF_INET
        case .v6: AF_INET6
        case .unix: AF_UNIX
        }
    }

    package var port: UInt16? {
        switch self {
        case .v4(_, let port), .v6(_, let port, _): port
        case .unix: nil
        }
    }

    /// The address without its port: `10.0.0.5`, `::1`, or `unix:` and the path.
    package var host: String {
        switch self {
        case .v4(let value, _):
            "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)"
        case .v6(let bytes, _, _):
            bytes.withUnsafeBytes { raw in
                var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
                inet_ntop(AF_INET6, raw.baseAddress, &text, socklen_t(text.count))
                return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
        case .unix(let path): "unix:\(path)"
        }
    }

    /// `10.0.0.5:8080`, `[::1]:8080` or `unix:/run/x.sock`.
    package var description: String {
        switch self {
        case .v4(_, let port): "\(host):\(port)"
        case .v6(_, let port, _): "[\(host)]:\(port)"
        case .unix: host
        }
    }

    /// Lends the C form of the address.
    func withSockaddr<Value>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Value) throws(ReactorError) -> Value {
        switch self {
        case .v4(let value, let port):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = value.bigEndian
            address.sin_port = port.bigEndian
            return lend(&address, body)
        case .v6(let bytes, let port, let scope):
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            address.sin6_scope_id = scope
            withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: bytes.prefix($0.count)) }
            return lend(&address, body)
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            let bytes = Array(path.utf8)
            let fits = withUnsafeMutableBytes(of: &address.sun_path) { room -> Bool in
                guard !bytes.isEmpty, bytes.count < room.count else { return false }
                room.copyBytes(from: bytes)
                return true
            }
            guard fits else { throw ReactorError(.addressInvalid, "a Unix socket's path has 1 to 107 bytes, not \(bytes.count)") }
            return lend(&address, body)
        }
    }

    private func lend<Address, Value>(_ address: inout Address, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Value) -> Value {
        withUnsafeBytes(of: &address) { raw in
            guard let base = raw.baseAddress else { preconditionFailure("an address has bytes") }
            return body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
    }
}
