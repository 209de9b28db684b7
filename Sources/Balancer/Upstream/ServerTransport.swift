// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import Reactor

/// How a pool's servers are reached, by requests and checks alike. Immutable; part of the pool's snapshot. Connections belong to the one
/// that made them: with another one they are not used again.
final class ServerTransport: Sendable {
    private enum Kind {
        case plain
        case tls(TLSContext, serverName: String?)
        /// The files of the pool's TLS can't be used: better no request than one in the clear.
        case unusable
    }

    private let kind: Kind
    private let pool: PoolConfiguration
    private let stamps: [FileStamp?]

    convenience init(_ pool: PoolConfiguration, logger: Logger) {
        self.init(pool, or: nil, logger: logger)
    }

    /// `before` goes on where the files can't be used.
    private init(_ pool: PoolConfiguration, or before: Kind?, logger: Logger) {
        self.pool = pool
        guard let wanted = pool.tls else {
            kind = .plain
            stamps = []
            return
        }
        // Before the files are read: a change meanwhile is seen later.
        stamps = wanted.files.map { FileStamp($0) }
        do throws(ReactorError) {
            let context = try TLSContext(authorities: wanted.authorities, certificate: wanted.certificate, key: wanted.key)
            kind = .tls(context, serverName: wanted.serverName)
        } catch {
            kind = before ?? .unusable
            logger.log(.error, "cannot use the TLS files of a pool", [.pool: pool.name, .error: error.description])
        }
    }

    /// A new one where the files are others than those that were read.
    func renewed(logger: Logger) -> ServerTransport? {
        guard let tls = pool.tls, tls.files.map({ FileStamp($0) }) != stamps else { return nil }
        return ServerTransport(pool, or: kind, logger: logger)
    }

    var isSecure: Bool {
        if case .plain = kind { false } else { true }
    }

    /// Ends with exactly one call of `done`, or none after `cancel`.
    func connect(
        to endpoint: Endpoint,
        on loop: Loop,
        timeout: Duration,
        _ done: @escaping (Result<Connection, ReactorError>) -> Void
    ) -> Connector? {
        switch kind {
        case .plain:
            return Connector.connect(to: endpoint, on: loop, timeout: timeout, done)
        case .tls(let context, let serverName):
            return Connector.connect(to: endpoint, tls: context, serverName: serverName, on: loop, timeout: timeout, done)
        case .unusable:
            loop.defer { done(.failure(ReactorError(.tlsFailed, "the TLS files of the pool can't be used"))) }
            return nil
        }
    }
}

extension UpstreamTLS {
    fileprivate var files: [String] { [authorities, certificate, key].compactMap { $0 } }
}

/// What tells one version of a file from the next.
private struct FileStamp: Sendable, Equatable {
    private let device: UInt
    private let inode: UInt
    private let size: Int
    private let seconds: Int
    private let nanoseconds: Int

    /// nil where there is none.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt(status.st_dev)
        inode = UInt(status.st_ino)
        size = Int(status.st_size)
        seconds = status.st_mtim.tv_sec
        nanoseconds = status.st_mtim.tv_nsec
    }
}
