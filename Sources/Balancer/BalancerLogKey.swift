// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging

/// The names of log metadata.
enum BalancerLogKey: String {
    case bytes, changes, cause, client, command, connectTime, duration, error, frontend, headTime, line, method, path, pool, queued,
        queueTime
    case listener, names
    case reason, received, responseTime, retries, server, servers, state, status, sticky, tls, version
    /// As in the logs of APIs and gateways.
    case requestID = "request-id"
    case traceID = "trace-id"
}

extension Logger {
    func log(_ level: Logger.Level, _ message: Logger.Message, _ metadata: [BalancerLogKey: String]) {
        guard level >= logLevel else { return }
        log(level: level, message, metadata: .init(uniqueKeysWithValues: metadata.map { ($0.key.rawValue, .string($0.value)) }))
    }
}
