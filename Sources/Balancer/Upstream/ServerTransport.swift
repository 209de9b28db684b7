// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor

/// How a pool's servers are reached, by requests and checks alike. An immutable value of the pool's snapshot.
enum ServerTransport: Sendable {
    case plain
    case tls(TLSContext)
    /// The files of the pool's TLS can't be used: better no request than one in the clear.
    case unusable

    init(_ pool: PoolConfiguration, logger: Logger) {
        guard let wanted = pool.tls else {
            self = .plain
            return
        }
        do throws(ReactorError) {
            self = .tls(try TLSContext(authorities: wanted.authorities, certificate: wanted.certificate, key: wanted.key))
        } catch {
            self = .unusable
            logger.log(.error, "cannot use the TLS files of a pool", [.pool: pool.name, .error: error.description])
        }
    }

    /// Ends with exactly one call of `done`, or none after `cancel`.
    func connect(
        to endpoint: Endpoint,
        on loop: Loop,
        timeout: Duration,
        _ done: @escaping (Result<Connection, ReactorError>) -> Void
    ) -> Connector? {
        switch self {
        case .plain:
            return Connector.connect(to: endpoint, on: loop, timeout: timeout, done)
        case .tls(let context):
            return Connector.connect(to: endpoint, tls: context, on: loop, timeout: timeout, done)
        case .unusable:
            loop.defer { done(.failure(ReactorError(.tlsFailed, "the TLS files of the pool can't be used"))) }
            return nil
        }
    }
}
