// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// How many sessions are open: client connections (HTTP/2: streams) and tunnels. Atomic; changed by all loops, once a session.
final class SessionCount: Sendable {
    private let count = Atomic<Int>(0)

    var value: Int { count.load(ordering: .relaxed) }

    func change(by difference: Int) {
        count.wrappingAdd(difference, ordering: .relaxed)
    }
}
