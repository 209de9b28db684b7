// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The metadata keys of this target's log lines.
enum LogKey {
    static let requestID = "request-id"
    static let traceID = "trace-id"
    static let path = "path"
    static let revision = "revision"
    static let route = "route"
    static let status = "status"
    static let code = "code"
    static let error = "error"
    static let durationMilliseconds = "duration-ms"
    static let check = "check"
    static let dropped = "dropped"
    static let isDraining = "drain"
}
