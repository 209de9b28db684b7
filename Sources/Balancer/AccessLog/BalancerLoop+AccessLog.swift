// Keyvane
// SPDX-License-Identifier: Apache-2.0

extension BalancerLoop {
    /// Its last words: with the connections there are at this moment.
    func write(_ request: LoggedRequest, to log: AccessLog, pool: PoolView? = nil, server: PooledServer? = nil) {
        let pool = pool ?? request.pool.flatMap { name in pools.first { $0.snapshot.name == name } }
        log.write(
            request,
            loads: HTTPLogLine.Loads(
                all: settings.shared.sessions.value,
                frontend: request.origin.listener.sessions.value,
                pool: pool?.snapshot.members.reduce(0) { $0 + $1.server.load } ?? 0,
                server: server?.load ?? 0
            ),
            using: &names
        )
    }
}
