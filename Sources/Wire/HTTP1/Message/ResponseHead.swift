// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A response's first lines; see `RequestHead`.
package struct ResponseHead: Sendable {
    package internal(set) var status = 0
    package internal(set) var reason = 0..<0
    package internal(set) var version = HTTPVersion.http11
    package internal(set) var fields = HTTPFields()
    package internal(set) var contentLength: UInt64?
    package internal(set) var isChunked = false
    package internal(set) var connectionUpgrades = false
    package internal(set) var length = 0
    var connectionPersists = true

    package init() {}

    /// RFC 9112 section 6.3: what the request was decides whether a response has a body at all.
    package func framing(for method: HTTPMethod) -> BodyFraming {
        if method == .head || status < 200 || status == 204 || status == 304 { return .none }
        if isChunked { return .chunked }
        return contentLength.map { .length($0) } ?? .untilClose
    }

    /// May the connection carry another exchange after this response? Never when its body ends with the connection.
    package func isPersistent(for method: HTTPMethod) -> Bool {
        connectionPersists && status != 101 && framing(for: method) != .untilClose && !announcesForbiddenBody
    }

    /// A 204 or a 304 with a body announced: it has none for us, and what its server may still send must not become another's answer.
    private var announcesForbiddenBody: Bool {
        status == 204 && (contentLength ?? 0) > 0 || (status == 204 || status == 304) && isChunked
    }
}
