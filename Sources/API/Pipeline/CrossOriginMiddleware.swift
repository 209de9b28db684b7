// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird

/// Lets pages of listed origins read the answers (the Fetch standard's CORS protocol). Pages of the API's own host need no permission, and
/// others get none: their browsers refuse them. Tokens come in headers, never in cookies, so that no page can borrow a user's.
struct CrossOriginMiddleware: RouterMiddleware {
    /// Its origins are `https://console.example`, in lower case, or `*`.
    let configuration: LiveConfiguration

    func handle(
        _ request: Request,
        context: APIContext,
        next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        guard let origin = request.headers[.origin] else { return try await next(request, context) }
        let origins = configuration.current.origins
        guard origins.contains(origin.lowercased()) || origins.contains("*") else { return try await next(request, context) }
        if request.method == .options, request.headers[.accessControlRequestMethod] != nil {
            return Response(status: .noContent, headers: Self.permission(origin).merging(Self.preflight))
        }
        var response = try await next(request, context)
        response.headers = response.headers.merging(Self.permission(origin))
        return response
    }

    private static func permission(_ origin: String) -> HTTPFields {
        [
            .accessControlAllowOrigin: origin,
            .accessControlExposeHeaders: "ETag, Location, Retry-After, Keyvane-Revision, X-Request-Id",
            .vary: "Origin",
        ]
    }

    private static let preflight: HTTPFields = [
        .accessControlAllowMethods: "GET, HEAD, POST, PUT, PATCH, DELETE",
        .accessControlAllowHeaders:
            "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Keyshade-Token, X-Request-Id",
        .accessControlMaxAge: "600",
    ]
}

extension HTTPFields {
    fileprivate func merging(_ others: HTTPFields) -> HTTPFields {
        var fields = self
        for field in others { fields.append(field) }
        return fields
    }
}
