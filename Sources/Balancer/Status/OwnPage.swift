// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Status: what the balancer says of itself.
// Flows through: requests for its own paths, before any route, and all requests of the admin listener -> `OwnPage`; finished
//   requests -> `AccessLog`.
// Owner: nobody; pages are made from the loop's own view when they are asked for.
// Must hold: no page tells a product or a version, and the traffic listeners tell nothing of the servers' addresses or of metrics.

import Wire

/// An answer of the balancer's own.
struct OwnPage {
    private enum Content {
        case json(status: Int, [UInt8], fields: [(name: String, value: String)])
        case metrics(String)
        case error(ErrorPage, asHTML: Bool)
    }

    private let content: Content

    /// nil where the path is not the balancer's. Everything on the admin listener is.
    static func find(_ head: RequestHead, in bytes: Span<UInt8>, role: ClientConnection.Role, host: BalancerLoop) -> OwnPage? {
        guard let path = path(head, bytes, role) else { return nil }
        guard head.method == .get || head.method == .head else { return refused(.methodNotAllowed, head, bytes, host) }
        switch (path, role) {
        case (.livez, _): return OwnPage(content: .json(status: 200, Array("{\"status\":\"alive\"}\n".utf8), fields: []))
        case (.readyz, _): return readiness(host)
        case (.health, _): return health(host)
        case (.metrics, .admin): return OwnPage(content: .metrics(host.settings.metricsPage()))
        case (.servers, .admin): return OwnPage(content: .json(status: 200, ServersDocument.bytes(host.pools), fields: []))
        case (.metrics, .traffic), (.servers, .traffic), (.other, _): return refused(.notFound, head, bytes, host)
        }
    }

    func bytes(keepAlive: Bool, omitBody: Bool) -> [UInt8] {
        switch content {
        case .json(let status, let body, let fields):
            HTTPResponseBytes.simple(
                status: status,
                contentType: "application/json",
                body: body,
                extraFields: fields + [("Cache-Control", "no-store")],
                keepAlive: keepAlive,
                omitBody: omitBody
            )
        case .metrics(let text):
            HTTPResponseBytes.simple(
                status: 200,
                contentType: "text/plain; version=0.0.4; charset=utf-8",
                body: text,
                extraFields: [("Cache-Control", "no-store")],
                keepAlive: keepAlive,
                omitBody: omitBody
            )
        case .error(let page, let asHTML):
            page.bytes(asHTML: asHTML, keepAlive: keepAlive, omitBody: omitBody)
        }
    }

    private enum Path {
        case livez, readyz, health, metrics, servers, other
    }

    private static func path(_ head: RequestHead, _ bytes: Span<UInt8>, _ role: ClientConnection.Role) -> Path? {
        // Two length checks turn nearly every request for a server away.
        let known: [(StaticString, Path)] = [("/livez", .livez), ("/readyz", .readyz), ("/health", .health), ("/metrics", .metrics)]
        if head.path.count <= 8 {
            for (text, path) in known where bytes.equals(head.path, text) { return path }
        }
        guard role == .admin else { return nil }
        return bytes.equals(head.path, "/v1/servers") ? .servers : .other
    }

    private static func refused(_ refusal: Refusal, _ head: RequestHead, _ bytes: Span<UInt8>, _ host: BalancerLoop) -> OwnPage {
        host.settings.metrics.countRejected(refusal.rawValue)
        return OwnPage(content: .error(ErrorPage(refusal), asHTML: ErrorPage.prefersHTML(head.fields, in: bytes)))
    }

    private static func readiness(_ host: BalancerLoop) -> OwnPage {
        guard host.isDraining else {
            return OwnPage(content: .json(status: 200, Array("{\"status\":\"ready\"}\n".utf8), fields: []))
        }
        let body = Array("{\"status\":\"draining\"}\n".utf8)
        return OwnPage(content: .json(status: 503, body, fields: [("Keyvane-State", "draining")]))
    }

    /// Healthy while every pool has a server to send requests to.
    private static func health(_ host: BalancerLoop) -> OwnPage {
        let isHealthy = host.pools.allSatisfy { $0.snapshot.usableCount > 0 }
        var out: [UInt8] = []
        out.append(isHealthy ? #"{"status":"healthy""# : #"{"status":"unhealthy""#)
        out.append(#","role":"balancer","checks":{"#)
        for (index, pool) in host.pools.enumerated() {
            if index > 0 { out.append(",") }
            JSONText.append(quoted: pool.snapshot.name, to: &out)
            out.append(pool.snapshot.usableCount > 0 ? #":{"ok":true,"up":"# : #":{"ok":false,"up":"#)
            out.append(decimal: pool.snapshot.usableCount)
            out.append(#","servers":"#)
            out.append(decimal: pool.snapshot.members.count)
            out.append("}")
        }
        out.append("}}\n")
        return OwnPage(content: .json(status: isHealthy ? 200 : 503, out, fields: []))
    }
}
