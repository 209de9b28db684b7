// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV
import Glibc

/// The file of a listening Unix socket, known by its inode: at its path another process's may stand meanwhile. Immutable; its socket's
/// owner removes it.
struct SocketFile: Sendable {
    /// What is put behind the path while the socket is bound: the longest is `.4194304`, Linux's last process.
    private static let suffixLength = 8
    /// Of a path to listen on. One to connect to may have the whole room.
    static let longestPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1 - suffixLength

    private let path: String
    private let device: dev_t
    private let inode: ino_t

    /// Binds beside the path and takes its place in one step once the socket listens: whoever connects meanwhile finds the one before it or
    /// this one, and nobody a closed door.
    ///
    /// - Throws: `address_invalid` where something else than a socket stands there, `address_in_use` where a live one does that isn't to be
    ///   replaced.
    init(
        _ path: String,
        binding descriptor: borrowing Descriptor,
        replacingLive: Bool,
        backlog: Int32,
        mode: UInt32?
    ) throws(ReactorError) {
        let name = SocketAddress.unix(path)
        guard (1...Self.longestPath).contains(path.utf8.count) else {
            throw ReactorError(
                .addressInvalid,
                "listen on \(name): the path of a Unix socket to listen on has 1 to \(Self.longestPath) bytes, not \(path.utf8.count)"
            )
        }
        try Self.checkPlace(path, replacingLive: replacingLive)
        let temporary = "\(path).\(getpid())"
        // Of one before us with our number, which was killed in here.
        if Self.isSocket(temporary) { unlink(temporary) }
        // Before the bind, which makes the file: at no moment may others connect. Elsewhere than on Linux the second call does it.
        if let mode { _ = fchmod(descriptor.number, mode) }
        let bound = try SocketAddress.unix(temporary).withSockaddr { bind(descriptor.number, $0, $1) == 0 ? 0 : errno }
        guard bound == 0 else { throw ReactorError.system("listen on \(name)", errno: bound) }
        if let mode { chmod(temporary, mode) }
        var status = stat()
        guard lstat(temporary, &status) == 0, listen(descriptor.number, backlog) == 0, rename(temporary, path) == 0 else {
            let number = errno
            unlink(temporary)
            throw ReactorError.system("listen on \(name)", errno: number)
        }
        (self.path, device, inode) = (path, status.st_dev, status.st_ino)
    }

    /// To be called while the socket is open, or the number of its inode may be another's already.
    func remove() {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else { return }
        unlink(path)
    }

    private static func isSocket(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
    }

    private static func checkPlace(_ path: String, replacingLive: Bool) throws(ReactorError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        let name = SocketAddress.unix(path)
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw ReactorError(
                .addressInvalid,
                "listen on \(name): a file that is no socket stands there; remove it, or choose another path"
            )
        }
        guard !replacingLive else { return }
        let probe = try Descriptor.socket(family: AF_UNIX)
        // Nobody behind it: whoever made it is gone.
        guard try name.withSockaddr({ connect(probe.number, $0, $1) == 0 ? 0 : errno }) == ECONNREFUSED else {
            throw ReactorError.system("listen on \(name)", errno: EADDRINUSE)
        }
    }
}
