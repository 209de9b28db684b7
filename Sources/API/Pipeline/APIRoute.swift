// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird

/// One method of one path. Routes are values, so that the router, the answer to a wrong method and the tests read the same list.
struct APIRoute: Sendable {
    enum Handler: Sendable {
        /// For anybody: health and metrics.
        case open(@Sendable (Request, APIContext) async throws -> Response)
        /// Called with an authenticated token, or not at all.
        case authorized(@Sendable (AuthorizedCall) async throws -> Response)
    }

    let method: HTTPRequest.Method
    /// As the documentation writes it, with `{name}` for parameters. It is also the route's label in the metrics.
    let path: String
    let handler: Handler

    static func open(
        _ method: HTTPRequest.Method,
        _ path: String,
        _ handle: @escaping @Sendable (Request, APIContext) async throws -> Response
    ) -> APIRoute {
        APIRoute(method: method, path: path, handler: .open(handle))
    }

    static func authorized(
        _ method: HTTPRequest.Method,
        _ path: String,
        _ handle: @escaping @Sendable (AuthorizedCall) async throws -> Response
    ) -> APIRoute {
        APIRoute(method: method, path: path, handler: .authorized(handle))
    }
}

/// All routes, asked when the router has found none: a path that exists under other methods is 405, not 404.
struct RouteTable: Sendable {
    private let paths: [(components: RouterPath, methods: [HTTPRequest.Method])]

    init(_ routes: [APIRoute]) {
        var methods: [String: [HTTPRequest.Method]] = [:]
        for route in routes {
            methods[route.path, default: []].append(route.method)
            // The router answers HEAD wherever it answers GET.
            if route.method == .get { methods[route.path, default: []].append(.head) }
        }
        paths = methods.sorted { $0.key < $1.key }.map { (RouterPath($0.key), $0.value.sorted { $0.rawValue < $1.rawValue }) }
    }

    /// The pattern that the path matches, with what `Allow` says of it.
    func match(_ path: String) -> (pattern: String, allow: String)? {
        let parts = path.split(separator: "/")
        // Linear, which is fine for requests that fail anyway.
        let found = paths.first { entry in
            entry.components.count == parts.count && zip(entry.components, parts).allSatisfy { $0 ~= $1 }
        }
        return found.map { ($0.components.description, $0.methods.map(\.rawValue).joined(separator: ", ")) }
    }
}
