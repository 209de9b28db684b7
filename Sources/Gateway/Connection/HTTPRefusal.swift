// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// A request that is answered with an HTTP status instead of the upgrade.
struct HTTPRefusal: Error, Equatable {
    let status: Int
    let code: String
    let detail: String
    var fields: [String: String] = [:]

    static func badRequest(_ detail: String) -> HTTPRefusal {
        HTTPRefusal(status: 400, code: "bad_request", detail: detail)
    }

    static let unauthorized = HTTPRefusal(
        status: 401,
        code: "unauthorized",
        detail: "The token is not valid: it is unknown, revoked or expired.",
        fields: ["WWW-Authenticate": "Bearer"]
    )

    static let originNotAllowed = HTTPRefusal(
        status: 403,
        code: "origin_not_allowed",
        detail: "Pages of this origin may not connect; see the origin list."
    )

    static func busy(_ detail: String, code: String = "unavailable") -> HTTPRefusal {
        HTTPRefusal(status: 503, code: code, detail: detail, fields: ["Retry-After": "1"])
    }

    /// `application/problem+json` (RFC 9457).
    func response(keepAlive: Bool, omitBody: Bool = false) -> [UInt8] {
        var body: [UInt8] = []
        body.append(#"{"type":"about:blank","title":"#)
        JSONText.append(quoted: "\(ReasonPhrase.text(status))", to: &body)
        body.append(#","status":"#)
        body.append(decimal: status)
        body.append(#","detail":"#)
        JSONText.append(quoted: detail, to: &body)
        body.append(#","code":"#)
        JSONText.append(quoted: code, to: &body)
        body.append(0x7D)
        return HTTPResponseBytes.simple(
            status: status,
            contentType: "application/problem+json",
            body: body,
            extraFields: fields.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) },
            keepAlive: keepAlive,
            omitBody: omitBody
        )
    }
}
