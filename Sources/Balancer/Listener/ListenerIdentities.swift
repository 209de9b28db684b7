// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import Reactor
import Synchronization

/// The TLS of all listeners, by their addresses: loaded before they open, replaced when the configuration or a file changes. Connections
/// that are there keep what they began with. Guarded by its mutex, which no loop waits for but when it opens a listener.
final class ListenerIdentities: Sendable {
    fileprivate struct Entry {
        var tls: ListenerTLS
        let identity: TLSServerIdentity
        /// Of the files as they were loaded, or found faulty.
        var stamps: [FileStamp]
    }

    /// What a configuration makes of them, before it is in force.
    struct Change {
        fileprivate let entries: [Endpoint: Entry]
        fileprivate let contexts: [(identity: TLSServerIdentity, context: TLSServerContext)]

        func identity(of bind: Endpoint) -> TLSServerIdentity? { entries[bind]?.identity }
    }

    private let entries = Mutex<[Endpoint: Entry]>([:])

    /// Reads what a configuration names; nothing has changed yet.
    func prepare(_ wanted: [(bind: Endpoint, tls: ListenerTLS)]) throws(BalancerError) -> Change {
        let known = entries.withLock { $0 }
        var next: [Endpoint: Entry] = [:]
        var changes: [(identity: TLSServerIdentity, context: TLSServerContext)] = []
        for (bind, tls) in wanted {
            // Taken before the files are read: a change in between is seen at the next look.
            let stamps = FileStamp.of(tls)
            do throws(ReactorError) {
                guard let entry = known[bind] else {
                    next[bind] = Entry(tls: tls, identity: try TLSServerIdentity(TLSServerOptions(tls)), stamps: stamps)
                    continue
                }
                if entry.tls != tls { changes.append((entry.identity, try entry.identity.prepare(TLSServerOptions(tls)))) }
                next[bind] = Entry(tls: tls, identity: entry.identity, stamps: entry.tls == tls ? entry.stamps : stamps)
            } catch {
                throw BalancerError(.listenFailed, "TLS of \(bind): \(error.message)", underlying: error)
            }
        }
        return Change(entries: next, contexts: changes)
    }

    func adopt(_ change: Change) {
        for (identity, context) in change.contexts { identity.adopt(context) }
        entries.withLock { $0 = change.entries }
    }

    func identity(of bind: Endpoint) -> TLSServerIdentity? {
        entries.withLock { $0[bind]?.identity }
    }

    /// Looks whether files have changed, and swaps what is sound. What isn't changes nothing, and is told once.
    func refresh(_ logger: Logger) {
        for (bind, entry) in entries.withLock({ $0 }) {
            let stamps = FileStamp.of(entry.tls)
            guard stamps != entry.stamps else { continue }
            entries.withLock { $0[bind]?.stamps = stamps }
            do throws(ReactorError) {
                try entry.identity.replace(TLSServerOptions(entry.tls))
                logger.log(
                    .notice,
                    "certificates have changed",
                    [.listener: "\(bind)", .names: entry.identity.serverNames.joined(separator: " ")]
                )
            } catch {
                logger.log(.error, "changed certificates can't be used; the old ones stay", [.listener: "\(bind)", .error: error.message])
            }
        }
    }
}

/// By which a file is known to have changed: a new one under its name has another inode, a rewritten one another time.
private struct FileStamp: Equatable {
    private let inode: UInt
    private let size: Int
    private let seconds: Int
    private let nanoseconds: Int

    /// A file that is gone has a stamp too.
    static func of(_ tls: ListenerTLS) -> [FileStamp] {
        let paths = tls.certificates.flatMap { [$0.certificate, $0.key] } + (tls.clientAuthorities.map { [$0] } ?? [])
        return paths.map { FileStamp($0) }
    }

    private init(_ path: String) {
        var status = stat()
        let isThere = stat(path, &status) == 0
        inode = isThere ? UInt(status.st_ino) : 0
        size = isThere ? Int(status.st_size) : 0
        seconds = isThere ? status.st_mtim.tv_sec : 0
        nanoseconds = isThere ? status.st_mtim.tv_nsec : 0
    }
}

extension BalancerConfiguration {
    /// The admin listener's too, which speaks HTTP/1.1 alone.
    var secureListeners: [(bind: Endpoint, tls: ListenerTLS)] {
        var all = listeners.compactMap { listener in listener.tls.map { (listener.bind, $0) } }
        if let bind = admin?.bind, var tls = admin?.tls {
            tls.alpn = [.http11]
            all.append((bind, tls))
        }
        return all
    }
}

extension TLSServerOptions {
    init(_ tls: ListenerTLS) {
        self.init(certificates: tls.certificates.map { Certificate(certificate: $0.certificate, key: $0.key) })
        minimum = tls.minimum == .tls12 ? .v12 : .v13
        profile = tls.profile == .modern ? .modern : .intermediate
        applicationProtocols = tls.alpn.map(\.rawValue)
        clientAuthorities = tls.clientAuthorities
    }
}
