// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store
import Wire

/// A request that is answered with an HTTP status instead of the upgrade.
struct HTTPRefusal: Error, Equatable {
    let status: Int
    let code: String
    let detail: String
    var fields: [String: String] = [:]

    static func badRequest(_ detail: String) -> HTTPRefusal {
        HTTPRefusal(status: 400, code: "bad_request", detail: detail)
    }

    static let unauthorized = HTTPRefusal(
        status: 401,
        code: "unauthorized",
        detail: "The token is not valid: it is unknown, revoked or expired.",
        fields: ["WWW-Authenticate": "Bearer"]
    )

    static func busy(_ detail: String, code: String = "unavailable") -> HTTPRefusal {
        HTTPRefusal(status: 503, code: code, detail: detail, fields: ["Retry-After": "1"])
    }

    /// `application/problem+json` (RFC 9457).
    func response(keepAlive: Bool, omitBody: Bool = false) -> [UInt8] {
        var body: [UInt8] = []
        body.append(#"{"type":"about:blank","title":"#)
        JSONText.append(quoted: "\(ReasonPhrase.text(status))", to: &body)
        body.append(#","status":"#)
        body.append(decimal: status)
        body.append(#","detail":"#)
        JSONText.append(quoted: detail, to: &body)
        body.append(#","code":"#)
        JSONText.append(quoted: code, to: &body)
        body.append(0x7D)
        return HTTPResponseBytes.simple(
            status: status,
            contentType: "application/problem+json",
            body: body,
            extraFields: fields.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) },
            keepAlive: keepAlive,
            omitBody: omitBody
        )
    }
}

/// `GET /v1/watch` as a WebSocket upgrade, read from its head and checked as far as that is possible without asking anybody.
struct WatchUpgrade: Equatable {
    static let subprotocol = "keyvane.v1"

    let accept: String
    let subprotocol: String?
    /// nil: it comes as a message.
    let token: String?
    /// What the URL subscribes to at once.
    let requests: [SubscribeRequest]

    init(_ head: RequestHead, in bytes: Span<UInt8>, origins: OriginRule) throws(HTTPRefusal) {
        guard WebSocketHandshake.isRequested(by: head, in: bytes) else {
            throw HTTPRefusal(
                status: 426,
                code: "upgrade_required",
                detail: "This is a WebSocket: send 'Connection: Upgrade' and 'Upgrade: websocket'.",
                fields: ["Upgrade": "websocket"]
            )
        }
        do throws(HTTPFault) {
            accept = try WebSocketHandshake.check(head, in: bytes).accept
        } catch {
            let fields = error == .unsupportedWebSocketVersion ? ["Sec-WebSocket-Version": "13"] : [:]
            throw HTTPRefusal(status: error.status, code: error.code, detail: error.message, fields: fields)
        }
        guard origins.allows(head.fields.string(.origin, in: bytes), host: head.fields.string(.host, in: bytes)) else {
            throw HTTPRefusal(status: 403, code: "origin_not_allowed", detail: "Pages of this origin may not connect; see the origin list.")
        }
        subprotocol = WebSocketHandshake.subprotocol(of: head, in: bytes, supported: [Self.subprotocol])
        let query = QueryParameters(head.query, in: bytes)
        token = try Self.token(head, bytes, query)
        requests = try Self.requests(query)
    }

    private static func token(_ head: RequestHead, _ bytes: Span<UInt8>, _ query: QueryParameters) throws(HTTPRefusal) -> String? {
        if let value = head.fields.string(.authorization, in: bytes) {
            let parts = value.split(separator: " ", omittingEmptySubsequences: true)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else { throw .unauthorized }
            return String(parts[1])
        }
        return head.fields.string(.xKeyshadeToken, in: bytes) ?? query.first("access_token")
    }

    private static func requests(_ query: QueryParameters) throws(HTTPRefusal) -> [SubscribeRequest] {
        let names = query.values("environment")
        guard names.count <= WatchSessionStateMachine.environmentLimit, Set(names).count == names.count else {
            throw .badRequest("Name at most \(WatchSessionStateMachine.environmentLimit) environments, each once.")
        }
        var since: ResumePoint?
        if let text = query.first("since") {
            guard let point = ResumePoint(parsing: text) else { throw .badRequest("'since' is a revision or a cursor.") }
            guard names.count == 1 else { throw .badRequest("'since' goes with exactly one 'environment'.") }
            since = point
        }
        var filter = NameSet.everything
        if let text = query.first("names") {
            let globs = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            guard let set = NameSet(filter: globs) else { throw .badRequest("\(ClientMessage.namesRule).") }
            filter = set
        }
        let acks: Bool
        switch query.first("acks") {
        case nil, "false": acks = false
        case "true": acks = true
        default: throw .badRequest("'acks' is true or false.")
        }
        var requests: [SubscribeRequest] = []
        for name in names {
            do throws(StoreError) {
                let path = try EnvironmentPath(parsing: name)
                requests.append(SubscribeRequest(environment: path, since: since, names: filter, acks: acks))
            } catch {
                throw .badRequest("'environment': \(error.message)")
            }
        }
        return requests
    }
}

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
