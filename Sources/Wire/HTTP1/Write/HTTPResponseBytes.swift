// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Small whole answers, ready to send.
package enum HTTPResponseBytes {
    /// `Connection: close` is written where the connection won't be kept. With `omitBody` (HEAD) the length is still told.
    package static func simple(
        status: Int,
        contentType: String = "text/plain; charset=utf-8",
        body: [UInt8] = [],
        extraFields: [(name: String, value: String)] = [],
        keepAlive: Bool,
        omitBody: Bool = false
    ) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(256 + body.count)
        HeadWriter.statusLine(status, into: &out)
        // 1xx, 204 and 304 have no body, and 1xx and 204 must not tell a length (RFC 9110 section 8.6).
        let hasBody = status >= 200 && status != 204 && status != 304
        if hasBody {
            if !body.isEmpty { HeadWriter.field(.contentType, contentType, into: &out) }
            HeadWriter.field(.contentLength, decimal: body.count, into: &out)
        }
        for field in extraFields { HeadWriter.field(field.name, field.value, into: &out) }
        if !keepAlive { HeadWriter.field(.connection, "close", into: &out) }
        HeadWriter.end(&out)
        if hasBody, !omitBody { out.append(contentsOf: body) }
        return out
    }

    package static func simple(
        status: Int,
        contentType: String = "text/plain; charset=utf-8",
        body: String,
        extraFields: [(name: String, value: String)] = [],
        keepAlive: Bool,
        omitBody: Bool = false
    ) -> [UInt8] {
        simple(
            status: status,
            contentType: contentType,
            body: [UInt8](body.utf8),
            extraFields: extraFields,
            keepAlive: keepAlive,
            omitBody: omitBody
        )
    }
}
