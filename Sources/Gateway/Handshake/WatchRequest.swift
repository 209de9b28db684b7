// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store
import Wire

/// `GET /v1/watch`, read from its head and checked as far as that is possible without asking anybody.
struct WatchRequest: Equatable {
    static let subprotocol = "keyvane.v1"

    private enum Transport: Equatable {
        case webSocket(accept: String, subprotocol: String?, extensions: String?)
        case events
    }

    private let transport: Transport
    /// The page's, which may read the answer; nil where no page asks.
    private let origin: String?
    /// nil: it comes as a message.
    let token: String?
    /// What the URL subscribes to at once.
    let requests: [SubscribeRequest]

    init(_ head: RequestHead, in bytes: Span<UInt8>, configuration: GatewayConfiguration) throws(HTTPRefusal) {
        origin = head.fields.string(.origin, in: bytes)
        if WebSocketHandshake.isRequested(by: head, in: bytes) {
            transport = try Self.webSocket(head, bytes)
        } else if AcceptField.asks(for: ServerSentEvent.contentType, head.fields, in: bytes) {
            transport = .events
        } else {
            throw HTTPRefusal(
                status: 426,
                code: "upgrade_required",
                detail: "This is a WebSocket: send 'Connection: Upgrade' and 'Upgrade: websocket', or 'Accept: text/event-stream'.",
                fields: ["Upgrade": "websocket"]
            )
        }
        guard configuration.origins.allows(origin, host: head.fields.string(.host, in: bytes)) else { throw .originNotAllowed }
        let query = QueryParameters(head.query, in: bytes)
        token = try Self.token(head, bytes, query)
        var requests = try Self.requests(query, limit: Int(configuration.limits.environments))
        if transport == .events {
            guard token != nil else { throw .unauthorized }
            try Self.checkEvents(&requests, lastEvent: head.fields.string(.lastEventID, in: bytes))
        }
        self.requests = requests
    }

    private static func webSocket(_ head: RequestHead, _ bytes: Span<UInt8>) throws(HTTPRefusal) -> Transport {
        do throws(HTTPFault) {
            return .webSocket(
                accept: try WebSocketHandshake.check(head, in: bytes).accept,
                subprotocol: WebSocketHandshake.subprotocol(of: head, in: bytes, supported: [Self.subprotocol]),
                extensions: WebSocketDeflate.negotiate(head, in: bytes)
            )
        } catch {
            throw HTTPRefusal(fault: error)
        }
    }

    /// Events go one way, and their ids are the cursors of one environment.
    private static func checkEvents(_ requests: inout [SubscribeRequest], lastEvent: String?) throws(HTTPRefusal) {
        guard requests.count == 1, !requests[0].acks else {
            throw .badRequest("An event stream is of exactly one 'environment', and has no 'acks': use a WebSocket for more.")
        }
        // The browser's way to come back: it says more than the URL, which stays the same.
        guard let lastEvent, !lastEvent.isEmpty else { return }
        guard let point = ResumePoint(parsing: lastEvent) else { throw .badRequest("'Last-Event-ID' is a revision or a cursor.") }
        requests[0].since = point
    }

    var format: WatchFormat {
        switch transport {
        case .webSocket(_, _, let extensions): extensions == nil ? .webSocket : .deflated
        case .events: .events
        }
    }

    /// The head of the answer that begins the watch.
    func answer(to identity: HandshakeIdentity) -> [UInt8] {
        switch transport {
        case .webSocket(let accept, let subprotocol, let extensions):
            return WebSocketHandshake.response(
                accept: accept,
                subprotocol: subprotocol,
                extensions: extensions,
                extraFields: [identity.field]
            )
        case .events:
            var fields = [
                (name: "Content-Type", value: "text/event-stream; charset=utf-8"),
                (name: "Cache-Control", value: "no-store"),
                // Proxies that collect answers would keep events from the reader.
                (name: "X-Accel-Buffering", value: "no"),
                (name: "Connection", value: "close"),
                identity.field,
            ]
            if let origin { fields += CrossOrigin.fields(for: origin) }
            var out: [UInt8] = []
            HeadWriter.statusLine(200, into: &out)
            for field in fields { HeadWriter.field(field.name, field.value, into: &out) }
            HeadWriter.end(&out)
            return out
        }
    }

    private static func token(_ head: RequestHead, _ bytes: Span<UInt8>, _ query: QueryParameters) throws(HTTPRefusal) -> String? {
        if let value = head.fields.string(.authorization, in: bytes) {
            let parts = value.split(separator: " ", omittingEmptySubsequences: true)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else { throw .unauthorized }
            return String(parts[1])
        }
        return head.fields.string(.xKeyshadeToken, in: bytes) ?? query.first("access_token")
    }

    private static func requests(_ query: QueryParameters, limit: Int) throws(HTTPRefusal) -> [SubscribeRequest] {
        let names = query.values("environment")
        guard names.count <= limit, Set(names).count == names.count else {
            throw .badRequest("Name at most \(limit) environments, each once.")
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
