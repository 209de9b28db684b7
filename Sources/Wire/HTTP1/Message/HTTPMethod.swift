// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The methods the products tell apart; any other token is `.other` and its bytes are found through the head's `methodRange`.
package enum HTTPMethod: UInt8, Sendable, CaseIterable {
    case get, head, post, put, patch, delete, options, trace, connect, other

    package var text: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .patch: "PATCH"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .trace: "TRACE"
        case .connect: "CONNECT"
        case .other: ""
        }
    }

    /// RFC 9110 section 9.2.2: may be sent again when the first attempt's fate is unknown.
    package var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .post, .patch, .connect, .other: false
        }
    }

    package var isSafe: Bool {
        switch self {
        case .get, .head, .options, .trace: true
        case .post, .put, .patch, .delete, .connect, .other: false
        }
    }

    /// Methods are case-sensitive, so `get` is `.other`.
    init(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
        let candidates: (HTTPMethod, HTTPMethod)
        switch range.count {
        case 3: candidates = (.get, .put)
        case 4: candidates = (.post, .head)
        case 5: candidates = (.patch, .trace)
        case 6: candidates = (.delete, .other)
        case 7: candidates = (.options, .connect)
        default: candidates = (.other, .other)
        }
        if ASCII.equals(bytes, range, candidates.0.text) {
            self = candidates.0
        } else if ASCII.equals(bytes, range, candidates.1.text) {
            self = candidates.1
        } else {
            self = .other
        }
    }
}

package enum HTTPVersion: UInt8, Sendable {
    case http10, http11
}
