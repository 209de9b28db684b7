// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Answers: what the balancer says in a server's place.
// Flows through: a `Refusal`, or a fault of a message -> `ErrorPage` -> JSON, a pool's own HTML (`ErrorPages`) or plain HTML.
// Owner: nobody; a page is made when it is needed, pools' files are read when the settings are adopted.
// Must hold: nothing of the request is repeated, no product and no version told, and whoever may try again is told when.

import Wire

/// An answer of the balancer's own to a request it can't have served: JSON (RFC 9457) or, for browsers, HTML. Tells no product and no version.
struct ErrorPage {
    let status: Int
    let code: String
    let detail: String
    private var extraFields: [(name: String, value: String)] = []

    /// `retryAfter` in seconds, where it is known.
    init(_ refusal: Refusal, retryAfter: Int = 1) {
        status = refusal.status
        code = refusal.rawValue
        detail = refusal.message
        switch refusal {
        case .noServer, .serverDown, .queueFull, .queueTimeout, .serverUnreachable, .upgradeRate, .draining, .rateLimited:
            extraFields = [("Retry-After", "\(retryAfter)")]
        case .methodNotAllowed: extraFields = [("Allow", "GET, HEAD")]
        case .requestTimeout, .expectationFailed, .notFound, .noRoute, .serverFailed, .serverTLSFailed, .badResponse, .responseTimeout:
            break
        }
    }

    init(_ fault: HTTPFault) {
        status = fault.status
        code = fault.code
        detail = fault.message
        if fault == .unsupportedWebSocketVersion {
            extraFields = [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")]
        }
    }

    /// `pages`: the pool's own HTML.
    func bytes(asHTML: Bool, pages: ErrorPages = .none, keepAlive: Bool, omitBody: Bool) -> [UInt8] {
        HTTPResponseBytes.simple(
            status: status,
            contentType: asHTML ? "text/html; charset=utf-8" : "application/problem+json",
            body: asHTML ? pages.page(status) ?? html : json,
            extraFields: extraFields + [("Cache-Control", "no-store")],
            keepAlive: keepAlive,
            omitBody: omitBody
        )
    }

    var title: String {
        var text: [UInt8] = []
        text.append(ReasonPhrase.text(status))
        return String(decoding: text, as: UTF8.self)
    }

    private var json: [UInt8] {
        var out: [UInt8] = []
        out.append(#"{"type":"about:blank","title":"#)
        JSONText.append(quoted: title, to: &out)
        out.append(#","status":"#)
        out.append(decimal: status)
        out.append(#","detail":"#)
        JSONText.append(quoted: detail, to: &out)
        out.append(#","code":"#)
        JSONText.append(quoted: code, to: &out)
        out.append("}\n")
        return out
    }

    /// Fixed texts only: nothing of the request is repeated, so nothing has to be escaped.
    private var html: [UInt8] {
        let page = """
            <!doctype html>
            <html lang="en">
            <head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>\(status) \(title)</title>
            <style>body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:20vh auto;padding:0 1.5em;color:#222}
            h1{font-size:1.5em;font-weight:600}@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}}</style></head>
            <body><h1>\(status) \(title)</h1><p>\(detail[detail.startIndex].uppercased() + detail.dropFirst()).</p></body>
            </html>

            """
        return Array(page.utf8)
    }

    /// Browsers ask for `text/html`; programs that accept anything get JSON, and so does who names both.
    static func prefersHTML(_ fields: HTTPFields, in bytes: Span<UInt8>) -> Bool {
        var html = false
        var json = false
        fields.forEachElement(of: .accept, in: bytes) { element in
            var end = element.lowerBound
            while end < element.upperBound, bytes[end] != 0x3B, bytes[end] != 0x20 { end += 1 }
            let type = element.lowerBound..<end
            html = html || bytes.equalsIgnoringCase(type, "text/html")
            json = json || bytes.equalsIgnoringCase(type, "application/json") || bytes.equalsIgnoringCase(type, "application/problem+json")
        }
        return html && !json
    }
}
