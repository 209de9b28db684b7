// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

extension HeaderRules {
    /// What frames a message or belongs to one hop.
    private static let ownOfBoth: Set<String> = [
        "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "keep-alive", "proxy-connection",
        "sec-websocket-version",
    ]
    /// What servers believe of the client.
    private static let ownOfRequests = ownOfBoth.union([
        "host", "expect", "http2-settings", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
        "x-real-ip", "x-request-id", "traceparent", "tracestate", "sec-websocket-key",
    ])
    private static let ownOfResponses = ownOfBoth.union(["sec-websocket-accept"])

    func judge(_ key: String, _ faults: inout FaultList) {
        Self.judge(request, "\(key).request", own: Self.ownOfRequests, &faults)
        Self.judge(response, "\(key).response", own: Self.ownOfResponses, &faults)
    }

    private static func judge(_ changes: Changes, _ key: String, own: Set<String>, _ faults: inout FaultList) {
        let removed = changes.remove.enumerated().map { ("\(key).remove[\($0)]", Changes.Field($1, "")) }
        let fields = removed + changes.set.map { ("\(key).set.\($0.name)", $0) } + changes.add.map { ("\(key).add.\($0.name)", $0) }
        for (key, field) in fields {
            faults.require(ASCII.isToken(field.name), key, "'\(field.name)' is no name of a header field")
            // Servers behind gateways of other protocols take a _ for a -.
            let plain = field.name.lowercased().replacing("_", with: "-")
            faults.require(!own.contains(plain), key, "'\(field.name)' is the balancer's own and can't be changed")
            let isLegal = field.value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
            faults.require(isLegal, key, "the value has control characters")
        }
        var set: Set<String> = []
        for field in changes.set {
            faults.require(set.insert(field.name.lowercased()).inserted, "\(key).set.\(field.name)", "is there twice")
        }
    }
}
