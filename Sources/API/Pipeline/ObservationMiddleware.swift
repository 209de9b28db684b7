// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Logging

/// Counts and times every answer under its route's pattern. It stands outside of `ProblemMiddleware`, so it sees errors as the answers
/// they became. A request is a debug line; what went wrong is logged where it became a problem.
struct ObservationMiddleware: RouterMiddleware {
    let metrics: APIMetrics

    func handle(
        _ request: Request,
        context: APIContext,
        next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        // Until the answer is made; writing it to a slow client is not the route's time.
        let start = ContinuousClock.now
        let response = try await next(request, context)
        let duration = ContinuousClock.now - start
        let route = Self.label(request.method, context.coreContext.endpointPath.value)
        metrics.answered(route: route, status: response.status, duration: duration)
        context.logger.debug("request answered", metadata: Self.metadata(request, route, response, duration))
        return response
    }

    /// The path without its query, which may hold a token. Path and revision are what a gateway's lines about the change have too.
    private static func metadata(_ request: Request, _ route: String, _ response: Response, _ duration: Duration) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            LogKey.route: .string(route),
            LogKey.path: .string(request.uri.path),
            LogKey.status: .stringConvertible(response.status.code),
            LogKey.durationMilliseconds: .stringConvertible(duration / .milliseconds(1)),
        ]
        if let revision = response.headers[.keyvaneRevision] { metadata[LogKey.revision] = .string(revision) }
        return metadata
    }

    static let unmatched = "unmatched"

    /// A closed set whatever is requested: patterns, not paths, and only the methods that a route can have.
    static func label(_ method: HTTPRequest.Method, _ pattern: String?) -> String {
        guard let pattern, pattern != "NotFound" else { return unmatched }
        switch method {
        case .get, .head, .post, .put, .patch, .delete: return "\(method.rawValue) \(pattern)"
        default: return "OTHER \(pattern)"
        }
    }
}
