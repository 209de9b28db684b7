// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Wire

/// Which web pages may open a watch; requests without `Origin` come from no page.
package enum OriginRule: Sendable, Hashable {
    /// A page of the host that is asked.
    case sameHost
    case any
    /// Of these origins (`https://console.example`), or of the same host.
    case listed(Set<String>)

    func allows(_ origin: String?, host: String?) -> Bool {
        guard let origin = origin?.lowercased() else { return true }
        switch self {
        case .any: return true
        case .sameHost: return isSameHost(origin, host)
        case .listed(let origins): return origins.contains(origin) || isSameHost(origin, host)
        }
    }

    private func isSameHost(_ origin: String, _ host: String?) -> Bool {
        guard let host = host?.lowercased() else { return false }
        return origin == "http://\(host)" || origin == "https://\(host)"
    }
}

/// The answers that let a page of an allowed origin read an event stream (the Fetch standard's CORS protocol).
enum CrossOrigin {
    static func fields(for origin: String) -> [(name: String, value: String)] {
        [
            (name: "Access-Control-Allow-Origin", value: origin),
            (name: "Access-Control-Expose-Headers", value: "Retry-After, X-Request-Id"),
            (name: "Vary", value: "Origin"),
        ]
    }

    /// To a browser that asks before it sends a token in a header.
    static func preflight(for origin: String, keepAlive: Bool) -> [UInt8] {
        HTTPResponseBytes.simple(
            status: 204,
            body: "",
            extraFields: fields(for: origin) + [
                (name: "Access-Control-Allow-Methods", value: "GET"),
                (name: "Access-Control-Allow-Headers", value: "Authorization, X-Keyshade-Token, Last-Event-ID"),
                (name: "Access-Control-Max-Age", value: "600"),
            ],
            keepAlive: keepAlive
        )
    }
}
