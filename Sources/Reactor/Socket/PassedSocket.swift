// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV
import Glibc

/// A listening socket that somebody else has bound, handed to us and keeps: what comes while we are away waits in its queue for the next of
/// us. Immutable; our descriptor of it closes when this goes.
package final class PassedSocket: Sendable {
    let descriptor: Descriptor
    package let address: SocketAddress
    /// As its giver calls it.
    package let name: String
    /// An IPv6 socket that IPv4 clients reach too.
    private let isDualStack: Bool

    /// Takes over the descriptor of this number.
    ///
    /// - Throws: `address_invalid` where it is no stream socket that listens.
    package init(taking number: Int32, name: String) throws(ReactorError) {
        var status = stat()
        guard fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else {
            throw ReactorError(.addressInvalid, "the passed descriptor '\(name)' (number \(number)) is no socket")
        }
        let descriptor = Descriptor(owning: number)
        guard descriptor.option(SOL_SOCKET, SO_TYPE) == Int32(SOCK_STREAM.rawValue), descriptor.option(SOL_SOCKET, SO_ACCEPTCONN) == 1,
            let address = descriptor.localAddress
        else { throw ReactorError(.addressInvalid, "the passed socket '\(name)' (number \(number)) is no stream socket that listens") }
        self.address = address
        self.name = name
        isDualStack = address.family == AF_INET6 && descriptor.option(Int32(IPPROTO_IPV6), IPV6_V6ONLY) == 0
        // No child of ours may keep it, and no accept may wait. The second is its giver's socket's too, who never accepts.
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
        self.descriptor = descriptor
    }

    func isAt(_ endpoint: Endpoint) -> Bool { endpoint.numeric == address }

    /// Every IPv4 address of a port, which a socket for every address of either kind serves along.
    func includes(_ endpoint: Endpoint) -> Bool {
        guard isDualStack, case .v6(let host, address.port, _) = address, host.allSatisfy({ $0 == 0 }) else { return false }
        return endpoint.numeric == .v4(0, port: address.port ?? 0)
    }
}

/// What was passed to a process, and who uses which. Immutable.
package struct PassedSockets: Sendable {
    private let sockets: [PassedSocket]

    package init(_ sockets: [PassedSocket] = []) {
        self.sockets = sockets
    }

    /// The one that a listener at `endpoint` uses instead of its own; `all` are the endpoints of all listeners.
    package func socket(for endpoint: Endpoint, of all: [Endpoint]) -> PassedSocket? {
        if let exact = sockets.first(where: { $0.isAt(endpoint) }) { return exact }
        return sockets.first { socket in socket.includes(endpoint) && !all.contains { socket.isAt($0) } }
    }

    /// Those that none of these endpoints uses: their clients would wait for ever.
    package func unused(by all: [Endpoint]) -> [PassedSocket] {
        let used = all.compactMap { socket(for: $0, of: all) }
        return sockets.filter { socket in !used.contains { $0 === socket } }
    }
}
