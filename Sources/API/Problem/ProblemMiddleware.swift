// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Logging
import Store

/// Turns whatever a route throws into a problem answer, and the router's own refusals too. Nothing gets past it but answers.
struct ProblemMiddleware: RouterMiddleware {
    let routes: RouteTable

    func handle(
        _ request: Request,
        context: APIContext,
        next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let problem: Problem
        do {
            guard Self.isExact(request.uri.path) else { throw Self.noSuchPath }
            return try await next(request, context)
        } catch let error as Problem {
            problem = error
        } catch let error as StoreError {
            problem = Problem(error)
        } catch let error as HTTPError where error.status == .notFound {
            problem = unmatched(request, context)
        } catch is CancellationError {
            // The process ends without a drain; the caller's next try reaches another one.
            problem = .unavailable("This server is stopping. Try again.")
        } catch {
            problem = Problem.unexpected.with { $0.underlying = error }
        }
        log(problem, context)
        return problem.response()
    }

    private static let noSuchPath = Problem(.notFound, "There is no such path. The paths are listed in the REST documentation.")

    /// The router takes `//metrics` and `/metrics/` for `/metrics`; whoever stands in front of us and decides by path doesn't.
    private static func isExact(_ path: String) -> Bool {
        let bytes = path.utf8
        guard bytes.last == UInt8(ascii: "/"), bytes.count > 1 else { return !path.contains("//") }
        return path == "/health/" || path == "/console/"
    }

    /// RFC 9110, section 15.5.6: a path that exists answers a wrong method with 405 and what it has.
    private func unmatched(_ request: Request, _ context: APIContext) -> Problem {
        guard let (pattern, allow) = routes.match(request.uri.path) else { return Self.noSuchPath }
        context.coreContext.endpointPath.value = pattern
        return Problem(.methodNotAllowed, "This path has no such method; it has \(allow).").with { $0.headers[.allow] = allow }
    }

    /// Refusals are counted, not logged; what points at our own or the database's trouble is.
    private func log(_ problem: Problem, _ context: APIContext) {
        let level: Logger.Level =
            switch problem.code {
            case .internalError: .error
            case .unavailable: .warning
            default: .debug
            }
        var metadata: Logger.Metadata = [LogKey.code: .string(problem.code.rawValue)]
        if let underlying = problem.underlying { metadata[LogKey.error] = .string("\(underlying)") }
        if let route = context.coreContext.endpointPath.value { metadata[LogKey.route] = .string(route) }
        context.logger.log(level: level, "request refused", metadata: metadata)
    }
}
