// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Reactor
import Synchronization

/// Addresses of the loopback network that nobody else in this process uses, and hardly anybody in another.
package enum LoopbackHost {
    private static let hosts = Atomic<UInt32>(0)

    /// While its user is away, no other test, and no outgoing connection, gets one of its ports: those are 127.0.0.1's.
    package static func fresh() -> String {
        let number = hosts.wrappingAdd(1, ordering: .relaxed).oldValue
        return "127.\(20 + getpid() % 200).\(number >> 8 & 255).\(number & 255)"
    }

    /// A port where nobody listens, and nobody comes to listen.
    package static func freeEndpoint() throws -> Endpoint {
        Endpoint(try ListenSocket.open(Endpoint(host: fresh(), port: 0))[0].address)
    }
}
