// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// A request that is answered with an HTTP status instead of the upgrade.
struct HTTPRefusal: Error, Equatable {
    let status: Int
    let code: String
    let detail: String
    var fields: [String: String] = [:]
    /// Engine.IO's number for it, whose clients read a body of their own.
    var engineCode: Int?

    static func badRequest(_ detail: String) -> HTTPRefusal {
        HTTPRefusal(status: 400, code: "bad_request", detail: detail)
    }

    static let unauthorized = HTTPRefusal(
        status: 401,
        code: "unauthorized",
        detail: "The token is not valid: it is unknown, revoked or expired.",
        fields: ["WWW-Authenticate": "Bearer"]
    )

    static func tooManyLogins(_ seconds: Int) -> HTTPRefusal {
        HTTPRefusal(
            status: 429,
            code: "too_many_failed_logins",
            detail: "The token is not valid, and so were too many others from this address. A valid one is let in at any time.",
            fields: ["Retry-After": "\(seconds)"]
        )
    }

    static let originNotAllowed = HTTPRefusal(
        status: 403,
        code: "origin_not_allowed",
        detail: "Pages of this origin may not connect; see the origin list."
    )

    /// The field tells a balancer that has not heard of it yet to ask another gateway.
    static let draining = HTTPRefusal(
        status: 503,
        code: "draining",
        detail: "This gateway is being drained; another one serves you.",
        fields: ["Keyvane-State": "draining", "Retry-After": "1"]
    )

    static func busy(_ detail: String, code: String = "unavailable") -> HTTPRefusal {
        HTTPRefusal(status: 503, code: code, detail: detail, fields: ["Retry-After": "1"])
    }

    func response(keepAlive: Bool, omitBody: Bool = false) -> [UInt8] {
        HTTPResponseBytes.simple(
            status: status,
            contentType: engineCode == nil ? "application/problem+json" : "application/json",
            body: engineCode.map(engineBody) ?? problem,
            extraFields: fields.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) },
            keepAlive: keepAlive,
            omitBody: omitBody
        )
    }

    private func engineBody(_ code: Int) -> [UInt8] {
        var body: [UInt8] = []
        body.append(#"{"code":"#)
        body.append(decimal: code)
        body.append(#","message":"#)
        JSONText.append(quoted: detail, to: &body)
        body.append(0x7D)
        return body
    }

    /// RFC 9457.
    private var problem: [UInt8] {
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
        return body
    }
}

extension HTTPRefusal {
    /// A head, or an upgrade, that breaks the rules.
    init(fault: HTTPFault) {
        self.init(
            status: fault.status,
            code: fault.code,
            detail: fault.message,
            fields: fault == .unsupportedWebSocketVersion ? ["Sec-WebSocket-Version": "13"] : [:]
        )
    }
}
