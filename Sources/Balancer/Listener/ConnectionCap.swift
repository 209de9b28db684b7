// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Synchronization

/// How many connections each address has, over all loops. Guarded by its mutex: a client comes and goes seldom, next to what it asks for.
final class ConnectionCap: Sendable {
    private enum Source: Hashable {
        case v4(UInt32)
        /// The first half: one site has all of the other.
        case v6(UInt64)
    }

    private let counts = Mutex<[Source: Int]>([:])

    /// A limit of 0 is none; the peers of a Unix socket have no address to be told apart by.
    func admit(_ address: SocketAddress?, limit: Int) -> Admission {
        guard limit > 0, let source = Self.source(address) else { return .admitted(permit: nil) }
        let isFree = counts.withLock { counts in
            guard counts[source, default: 0] < limit else { return false }
            counts[source, default: 0] += 1
            return true
        }
        return isFree ? .admitted(permit: Permit(self, source)) : .refused
    }

    private static func source(_ address: SocketAddress?) -> Source? {
        switch address?.unmapped {
        case .v4(let value, _)?: .v4(value)
        case .v6(let bytes, _, _)?: .v6(bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
        case .unix?, nil: nil
        }
    }

    private func leave(_ source: Source) {
        counts.withLock { counts in
            guard let count = counts[source] else { return }
            counts[source] = count > 1 ? count - 1 : nil
        }
    }

    /// Lives as long as its connection.
    private final class Permit: Sendable {
        private let cap: ConnectionCap
        private let source: Source

        init(_ cap: ConnectionCap, _ source: Source) {
            self.cap = cap
            self.source = source
        }

        deinit { cap.leave(source) }
    }
}
