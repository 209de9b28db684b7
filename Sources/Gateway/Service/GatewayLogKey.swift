// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The metadata keys that a request or a change is followed by through the logs of all roles.
enum GatewayLogKey {
    static let requestID = "request-id"
    static let traceID = "trace-id"
    /// As its `ready` frame names it.
    static let connection = "connection"
    static let environment = "environment"
    static let revision = "revision"
    static let transport = "transport"
    static let status = "status"
    static let code = "code"
    static let groups = "groups"
}
