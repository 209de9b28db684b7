// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Synchronization

/// Where loops leave their sockets when a successor has taken over: they close all at once, because each that closes alone would change
/// which socket the kernel sends new clients to. Guarded by its mutex.
final class SocketRest: Sendable {
    private let left = Mutex<[[ListenSocket]]>([])

    /// The last of `loops` ends it.
    func leave(_ sockets: [ListenSocket], loops: Int) {
        let all = left.withLock { left in
            left.append(sockets)
            guard left.count == loops else { return [[ListenSocket]]() }
            defer { left = [] }
            return left
        }
        // Here, outside of the lock, go the last references.
        withExtendedLifetime(all) {}
    }
}
