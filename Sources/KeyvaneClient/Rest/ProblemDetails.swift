// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

/// A problem document (RFC 9457) as the service writes it. Everything is optional: proxies answer with bodies of their own.
struct ProblemDetails: Decodable {
    let title: String?
    let detail: String?
    let code: String?
    let errors: [ClientError.Fault]?

    /// The error of an answer that isn't a success.
    static func error(status: Int, headers: HTTPHeaders, body: ByteBuffer) -> ClientError {
        let problem = try? JSONDecoder().decode(ProblemDetails.self, from: body)
        return ClientError(
            code: problem?.code ?? standardCode(of: status),
            message: problem?.detail ?? problem?.title ?? "The service answered with status \(status) and without an explanation.",
            status: status,
            errors: problem?.errors ?? [],
            etag: headers.first(name: "etag"),
            retryAfter: headers.first(name: "retry-after").flatMap(Int.init).map { .seconds(max(0, $0)) }
        )
    }

    private static func standardCode(of status: Int) -> String {
        switch status {
        case 300..<400: "redirected"
        case 401: "unauthenticated"
        case 403: "forbidden"
        case 404: "not_found"
        case 429: "too_fast"
        case 502, 503, 504: "unavailable"
        default: "status_\(status)"
        }
    }
}
