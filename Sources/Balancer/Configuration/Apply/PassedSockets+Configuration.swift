// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

extension PassedSockets {
    /// Whoever bound a socket for us lets clients in there, whether somebody answers or not.
    ///
    /// - Throws: `listen_failed` with the names of those that no listener uses.
    func check(_ configuration: BalancerConfiguration, operators admin: AdminConfiguration?) throws(BalancerError) {
        let operators = [admin?.bind, (admin?.socket).map { Endpoint(unix: $0) }].compactMap { $0 }
        let unused = unused(by: configuration.listeners.map(\.bind) + operators)
        guard !unused.isEmpty else { return }
        let names = unused.map { "'\($0.name)' at \($0.address)" }.joined(separator: ", ")
        throw BalancerError(
            .listenFailed,
            "nobody listens on the passed socket \(names): give the configuration a listener there, or don't pass it"
        )
    }
}
