// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor

extension PoolView.Place {
    /// A fault of TLS is for people to mend, so they are told why; once in ten seconds says as much as at every request.
    func tellOfTLS(_ error: ReactorError, _ host: BalancerLoop) {
        let now = host.loop.milliseconds
        guard error.code == .tlsFailed, toldOfTLS == 0 || now - toldOfTLS >= 10_000 else { return }
        toldOfTLS = now
        host.settings.logger.log(.warning, "no TLS with a server", [.pool: server.pool, .server: server.name, .error: error.message])
    }
}
