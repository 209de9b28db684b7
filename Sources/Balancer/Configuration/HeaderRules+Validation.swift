// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

extension HeaderRules {
    /// `pool` is for the message.
    func validate(pool: String) throws(BalancerError) {
        try Self.validate(request, "pools.\(pool).headers.request", own: Self.ownOfRequests)
        try Self.validate(response, "pools.\(pool).headers.response", own: Self.ownOfResponses)
    }

    /// What frames a message or belongs to one hop.
    private static let ownOfBoth: Set<String> = [
        "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "keep-alive", "proxy-connection",
    ]
    /// What servers believe of the client.
    private static let ownOfRequests = ownOfBoth.union([
        "host", "expect", "http2-settings", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
        "x-real-ip", "x-request-id", "traceparent", "tracestate", "sec-websocket-key", "sec-websocket-version",
    ])
    private static let ownOfResponses = ownOfBoth.union(["sec-websocket-accept", "sec-websocket-version"])

    private static func validate(_ changes: Changes, _ place: String, own: Set<String>) throws(BalancerError) {
        let lists = [
            ("remove", changes.remove.map { Changes.Field($0, "") }), ("set", changes.set), ("add", changes.add),
        ]
        for (list, fields) in lists {
            for field in fields {
                guard ASCII.isToken(field.name) else {
                    throw .init(.configurationInvalid, "\(place).\(list): '\(field.name)' is no name of a header field")
                }
                guard !own.contains(field.name.lowercased().replacing("_", with: "-")) else {
                    throw .init(.configurationInvalid, "\(place).\(list): '\(field.name)' is the balancer's own and can't be changed")
                }
                guard field.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
                    throw .init(.configurationInvalid, "\(place).\(list): the value of '\(field.name)' has control characters")
                }
            }
        }
        guard Set(changes.set.map { $0.name.lowercased() }).count == changes.set.count else {
            throw .init(.configurationInvalid, "\(place).set: a field is there twice")
        }
    }
}
