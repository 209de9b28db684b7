// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// A whole request to the admin listener. A value of its own: the connection's buffer goes on to the next one.
struct AdminRequest {
    let method: HTTPMethod
    /// As it came, still percent-encoded.
    let path: String
    let query: QueryParameters
    let peer: SocketAddress?
    let isPersistent: Bool
    let prefersHTML: Bool
    let host: String?
    let origin: String?
    let fetchSite: String?
    let authorization: String?
    /// In lower case, without parameters.
    let contentType: String
    var body: [UInt8] = []

    init(_ head: RequestHead, in bytes: Span<UInt8>, peer: SocketAddress?) {
        method = head.method
        path = bytes.string(head.path)
        query = QueryParameters(head.query, in: bytes)
        self.peer = peer
        isPersistent = head.isPersistent
        prefersHTML = ErrorPage.prefersHTML(head.fields, in: bytes)
        host = head.fields.string(.host, in: bytes)
        origin = head.fields.string(.origin, in: bytes)
        fetchSite = head.fields.string("sec-fetch-site", in: bytes)
        authorization = head.fields.string(.authorization, in: bytes)
        let type = head.fields.string(.contentType, in: bytes) ?? ""
        contentType = type.prefix { $0 != ";" && $0 != " " }.lowercased()
    }

    /// A form's fields, decoded.
    var form: QueryParameters { QueryParameters(0..<body.count, in: body.span) }
}
