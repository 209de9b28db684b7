// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging

/// The names of log metadata.
enum BalancerLogKey: String {
    case bytes, changes, cause, client, command, duration, error, method, path, pool, reason, request, server, servers, state, status
}

extension Logger {
    func log(_ level: Logger.Level, _ message: Logger.Message, _ metadata: [BalancerLogKey: String]) {
        guard level >= logLevel else { return }
        log(level: level, message, metadata: .init(uniqueKeysWithValues: metadata.map { ($0.key.rawValue, .string($0.value)) }))
    }
}
