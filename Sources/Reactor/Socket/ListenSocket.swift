// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV
import Glibc

/// A bound and listening socket, made on any thread before a loop accepts on it. Immutable; closes its descriptor when it goes, and takes the
/// file of a Unix socket with it.
package final class ListenSocket: Sendable {
    /// Of a Unix socket's path, in bytes.
    package static let longestPath = SocketFile.longestPath

    let descriptor: Descriptor
    package let address: SocketAddress
    /// Of a Unix socket.
    private let file: SocketFile?
    /// Somebody else keeps it open and hands it to the next of us.
    let isPassed: Bool

    private init(_ descriptor: consuming Descriptor, address: SocketAddress, file: SocketFile? = nil, isPassed: Bool = false) {
        self.address = address
        self.file = file
        self.isPassed = isPassed
        self.descriptor = descriptor
    }

    deinit {
        file?.remove()
    }

    /// Opens `count` sockets on one endpoint, one per loop: the kernel spreads the connections (SO_REUSEPORT). Port 0 picks one port for all.
    /// A Unix socket has one; a stale file at its path is replaced. `isShared` lets another process of the same user listen there too, which
    /// is how a successor takes over: at a Unix socket's path it replaces the one that is there. `mode` is who may connect to a Unix socket.
    ///
    /// - Throws: `address_in_use`, `address_invalid`, `permission_denied`.
    package static func open(
        _ endpoint: Endpoint,
        count: Int = 1,
        isShared: Bool = false,
        backlog: Int32 = 4096,
        mode: UInt32? = nil
    ) throws(ReactorError) -> [ListenSocket] {
        guard let address = endpoint.numeric else {
            throw ReactorError(.addressInvalid, "listen on \(endpoint): write a numeric address, or an empty host for every address")
        }
        if case .unix(let path) = address {
            let descriptor = try Descriptor.socket(family: AF_UNIX)
            let file = try SocketFile(path, binding: descriptor, replacingLive: isShared, backlog: backlog, mode: mode)
            // The kernel calls it by the name that it was bound with.
            return [ListenSocket(descriptor, address: address, file: file)]
        }
        let first = try open(address, shared: isShared || count > 1, backlog: backlog)
        var sockets = [first]
        for _ in 1..<max(count, 1) { sockets.append(try open(first.address, shared: true, backlog: backlog)) }
        return sockets
    }

    /// The same for a socket that was passed to us: `count` descriptors of it, one per loop, with one queue; whoever is free accepts.
    package static func open(_ passed: PassedSocket, count: Int) throws(ReactorError) -> [ListenSocket] {
        var sockets: [ListenSocket] = []
        for _ in 0..<max(count, 1) {
            let number = fcntl(passed.descriptor.number, F_DUPFD_CLOEXEC, 0)
            guard number >= 0 else { throw ReactorError.system("listen on \(passed.address)", errno: errno) }
            sockets.append(ListenSocket(Descriptor(owning: number), address: passed.address, isPassed: true))
        }
        return sockets
    }

    private static func open(_ address: SocketAddress, shared: Bool, backlog: Int32) throws(ReactorError) -> ListenSocket {
        let descriptor = try Descriptor.socket(family: address.family)
        descriptor.setOption(SOL_SOCKET, SO_REUSEADDR, 1)
        if shared { descriptor.setOption(SOL_SOCKET, SO_REUSEPORT, 1) }
        let bound = try address.withSockaddr { bind(descriptor.number, $0, $1) == 0 ? 0 : errno }
        guard bound == 0 else { throw ReactorError.system("listen on \(address)", errno: bound) }
        guard listen(descriptor.number, backlog) == 0 else { throw ReactorError.system("listen on \(address)", errno: errno) }
        let actual = descriptor.localAddress ?? address
        return ListenSocket(descriptor, address: actual)
    }
}
