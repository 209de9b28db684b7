// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Store

/// The log lines about a connection, from its handshake to its end; all at debug, because a crowd comes and goes at once.
extension SocketLoop {
    func refused(_ refusal: HTTPRefusal, _ identity: HandshakeIdentity?) {
        logger.debug(
            "handshake refused",
            metadata: (identity?.metadata ?? [:]).merging([
                GatewayLogKey.status: .stringConvertible(refusal.status), GatewayLogKey.code: .string(refusal.code),
            ]) { $1 }
        )
    }

    /// - Parameter subscriptions: how many the URL asks for.
    func opened(_ number: UInt32, _ identity: HandshakeIdentity, _ transport: WatchFormat, subscriptions: Int) {
        remember(identity.requestID, of: number, for: max(1, subscriptions))
        logger.debug(
            "watch opened",
            metadata: identity.metadata.merging([
                GatewayLogKey.connection: .string(connectionName(number)), GatewayLogKey.transport: "\(transport)",
            ]) { $1 }
        )
    }

    /// Returns the request id that the subscription's row in the audit gets: the handshake's as long as it is known, then the connection's name.
    func subscribed(_ number: UInt32, to environment: EnvironmentPath) -> String {
        let known = takeRequestID(of: number)
        logger.debug(
            "watch subscribed",
            metadata: [
                GatewayLogKey.connection: .string(connectionName(number)), GatewayLogKey.environment: .string(environment.description),
                GatewayLogKey.requestID: .string(known ?? "-"),
            ]
        )
        return known ?? connectionName(number)
    }

    func closed(_ number: UInt32, code: UInt16) {
        forgetRequestID(of: number)
        metrics.closed(code)
        logger.debug(
            "watch closed",
            metadata: [GatewayLogKey.connection: .string(connectionName(number)), GatewayLogKey.code: .stringConvertible(code)]
        )
    }
}
