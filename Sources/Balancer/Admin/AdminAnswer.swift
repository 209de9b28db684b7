// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// An answer of the admin listener.
struct AdminAnswer {
    /// A fault of one value in a body.
    struct Fault: Equatable {
        /// RFC 6901, such as `/weight`.
        let pointer: String
        let detail: String
    }

    private(set) var status: Int
    private let contentType: String
    private let body: [UInt8]
    private var fields: [(name: String, value: String)] = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]

    private init(_ status: Int, _ contentType: String, _ body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    func with(_ name: String, _ value: String) -> AdminAnswer {
        var copy = self
        copy.fields.append((name, value))
        return copy
    }

    func bytes(keepAlive: Bool, omitBody: Bool) -> [UInt8] {
        HTTPResponseBytes.simple(
            status: status,
            contentType: contentType,
            body: body,
            extraFields: fields,
            keepAlive: keepAlive,
            omitBody: omitBody
        )
    }

    // MARK: Kinds

    static func json(_ body: [UInt8], status: Int = 200) -> AdminAnswer {
        AdminAnswer(status, "application/json", body)
    }

    static func text(_ body: String, type: String = "text/plain; charset=utf-8") -> AdminAnswer {
        AdminAnswer(200, type, Array(body.utf8))
    }

    static func page(_ page: HTMLPage, status: Int = 200) -> AdminAnswer {
        AdminAnswer(status, "text/html; charset=utf-8", Array(page.text.utf8))
            .with("Content-Security-Policy", HTMLPage.policy)
            .with("Referrer-Policy", "same-origin")
            .with("X-Frame-Options", "DENY")
    }

    static let empty = AdminAnswer(204, "text/plain", [])

    /// After a form: the browser fetches the page anew, and a reload repeats nothing.
    static func seeOther(_ location: String) -> AdminAnswer {
        AdminAnswer(303, "text/plain", []).with("Location", location)
    }

    /// RFC 9457, as REST answers it: a stable code, and which field is at fault.
    static func problem(_ status: Int, code: String, _ detail: String, _ faults: [Fault] = []) -> AdminAnswer {
        var out: [UInt8] = []
        var title: [UInt8] = []
        title.append(ReasonPhrase.text(status))
        out.append(#"{"type":"about:blank","title":"#)
        JSONText.append(quoted: String(decoding: title, as: UTF8.self), to: &out)
        out.append(#","status":"#)
        out.append(decimal: status)
        out.append(#","detail":"#)
        JSONText.append(quoted: detail, to: &out)
        out.append(#","code":"#)
        JSONText.append(quoted: code, to: &out)
        if !faults.isEmpty {
            out.append(#","errors":["#)
            for (index, fault) in faults.enumerated() {
                out.append(index > 0 ? #",{"pointer":"# : #"{"pointer":"#)
                JSONText.append(quoted: fault.pointer, to: &out)
                out.append(#","detail":"#)
                JSONText.append(quoted: fault.detail, to: &out)
                out.append("}")
            }
            out.append("]")
        }
        out.append("}\n")
        return AdminAnswer(status, "application/problem+json", out)
    }
}

extension ErrorPage {
    /// As the traffic listeners answer it.
    func answer(asHTML: Bool) -> AdminAnswer {
        asHTML
            ? .page(
                HTMLPage(title: "\(status) \(title)", current: nil, content: "<p class=\"lead\">\(HTMLText.escaped(detail))</p>"),
                status: status
            )
            : .problem(status, code: code, detail)
    }
}
