// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Wire

/// Where a request's session id is, and which server's route it ends in: mod_proxy_balancer's stickiness. A pure value.
package struct SessionRoute: Sendable {
    private let cookie: String
    private let parameter: String?
    private let members: [String: Int]

    /// `routes` by member; of equal ones the first counts.
    package init(cookie: String, parameter: String?, routes: [String?]) {
        self.cookie = cookie
        self.parameter = parameter
        members = Dictionary(routes.enumerated().compactMap { index, route in route.map { ($0, index) } }) { first, _ in first }
    }

    package enum Finding: Equatable, Sendable {
        /// No session id, or one without a route.
        case none
        case member(Int)
        /// A route that no member has.
        case unknown
    }

    package func find(_ head: RequestHead, in bytes: Span<UInt8>) -> Finding {
        guard let session = session(head, bytes) else { return .none }
        // What stands behind the first dot is the route; ids with dots of their own end in it.
        var rest = session[...]
        var hasRoute = false
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            if rest.isEmpty { break }
            hasRoute = true
            if let member = members[String(rest)] { return .member(member) }
        }
        return hasRoute ? .unknown : .none
    }

    /// The URL wins: in its path (`;name=id`), then in its query.
    private func session(_ head: RequestHead, _ bytes: Span<UInt8>) -> String? {
        if let parameter {
            if let value = pathParameter(parameter, head.path, bytes) { return value }
            if let value = QueryParameters.first(parameter, of: head.query, in: bytes) { return value }
        }
        guard let range = Cookies.first(cookie, of: head.fields, in: bytes) else { return nil }
        let text = bytes.string(range)
        return text.count >= 2 && text.hasPrefix("\"") && text.hasSuffix("\"") ? String(text.dropFirst().dropLast()) : text
    }

    /// The name as a whole, up to the next parameter or segment.
    private func pathParameter(_ name: String, _ path: Range<Int>, _ bytes: Span<UInt8>) -> String? {
        var position = path.lowerBound
        while position < path.upperBound {
            guard bytes[position] == 0x3B else {
                position += 1
                continue
            }
            let start = position + 1
            var end = start
            while end < path.upperBound, bytes[end] != 0x3B, bytes[end] != 0x2F { end += 1 }
            let valueStart = start + name.utf8.count + 1
            if valueStart <= end, bytes[valueStart - 1] == 0x3D, bytes.string(start..<valueStart - 1) == name {
                return QueryParameters.percentDecoded(valueStart..<end, in: bytes, plusIsBlank: false)
            }
            position = end
        }
        return nil
    }
}
