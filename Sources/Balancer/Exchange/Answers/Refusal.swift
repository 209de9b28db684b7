// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Why the balancer answers itself instead of a server, beside the faults of the messages themselves. The raw value is the code in
/// the answer and the `reason` of `balancer_rejected_total`.
package enum Refusal: String, CaseIterable {
    case requestTimeout = "request_timeout"
    case expectationFailed = "expectation_failed"
    case notFound = "not_found"
    case methodNotAllowed = "method_not_allowed"
    case noRoute = "no_route"
    case noServer = "no_server"
    case serverDown = "server_down"
    case queueFull = "queue_full"
    case queueTimeout = "queue_timeout"
    case serverUnreachable = "server_unreachable"
    case serverFailed = "server_failed"
    case badResponse = "bad_response"
    case responseTimeout = "response_timeout"
    case serverTLSFailed = "server_tls_failed"
    case upgradeRate = "upgrade_rate"
    case rateLimited = "rate_limited"
    case draining = "draining"

    package var status: Int {
        switch self {
        case .notFound, .noRoute: 404
        case .methodNotAllowed: 405
        case .requestTimeout: 408
        case .expectationFailed: 417
        case .rateLimited: 429
        case .serverFailed, .badResponse, .serverTLSFailed: 502
        case .noServer, .serverDown, .queueFull, .queueTimeout, .serverUnreachable, .upgradeRate, .draining: 503
        case .responseTimeout: 504
        }
    }

    /// One line for people.
    package var message: String {
        switch self {
        case .requestTimeout: "the request did not arrive in time"
        case .expectationFailed: "the only expectation met here is 100-continue"
        case .notFound: "there is nothing at this path"
        case .methodNotAllowed: "only GET and HEAD are answered at this path"
        case .noRoute: "no route leads to this path"
        case .noServer: "no server is available for this request; try again soon"
        case .serverDown: "the server that has this session is down; try again soon"
        case .queueFull: "too many requests wait for a server; try again in a moment"
        case .queueTimeout: "no server became free in time; try again in a moment"
        case .serverUnreachable: "no server could be reached; try again soon"
        case .serverFailed: "the server ended the connection before it had answered"
        case .badResponse: "the server's answer was not valid HTTP"
        case .responseTimeout: "the server did not answer in time"
        case .serverTLSFailed: "no trusted connection to a server could be made"
        case .rateLimited: "too many requests; try again when Retry-After has passed"
        case .upgradeRate: "too many connections at once; try again in a moment"
        case .draining: "this balancer is going away; connect again"
        }
    }
}
