// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Status: what the balancer says of itself.
// Flows through: requests for its own paths, before any route -> `OwnPage`; finished requests -> `AccessLog`; counts of all loops ->
//   `TallyBook` -> `TrafficSampler` -> a `StatusReport` for the pages in `Admin`.
// Owner: pages are made from the loop's own view when they are asked for; a tally is its loop's, the sampler the control loop's.
// Must hold: no page tells a product or a version, and the traffic listeners tell nothing of the servers' addresses or of metrics.

import Wire

/// An answer of the balancer's own on a traffic listener.
struct OwnPage {
    /// What whoever starts and stops us asks.
    enum Probe {
        case livez, readyz, health
    }

    private enum Content {
        case probe(AdminAnswer)
        case error(ErrorPage, asHTML: Bool)
    }

    private let content: Content

    /// nil where the path is not the balancer's.
    static func find(_ head: RequestHead, in bytes: Span<UInt8>, host: BalancerLoop) -> OwnPage? {
        guard let path = path(head, bytes) else { return nil }
        guard head.method == .get || head.method == .head else { return refused(.methodNotAllowed, head, bytes, host) }
        switch path {
        case .probe(let probe): return OwnPage(content: .probe(answer(to: probe, host: host)))
        // Metrics are on the admin listener.
        case .metrics: return refused(.notFound, head, bytes, host)
        }
    }

    /// What it refuses; nil for a probe's answer.
    var refusal: ErrorPage? {
        switch content {
        case .probe: nil
        case .error(let page, _): page
        }
    }

    func bytes(keepAlive: Bool, omitBody: Bool) -> [UInt8] {
        switch content {
        case .probe(let answer): answer.bytes(keepAlive: keepAlive, omitBody: omitBody)
        case .error(let page, let asHTML): page.bytes(asHTML: asHTML, keepAlive: keepAlive, omitBody: omitBody)
        }
    }

    private enum Path {
        case probe(Probe)
        case metrics
    }

    private static func path(_ head: RequestHead, _ bytes: Span<UInt8>) -> Path? {
        // One length check turns nearly every request for a server away.
        guard head.path.count <= 8 else { return nil }
        if bytes.equals(head.path, "/livez") { return .probe(.livez) }
        if bytes.equals(head.path, "/readyz") { return .probe(.readyz) }
        if bytes.equals(head.path, "/health") { return .probe(.health) }
        return bytes.equals(head.path, "/metrics") ? .metrics : nil
    }

    private static func refused(_ refusal: Refusal, _ head: RequestHead, _ bytes: Span<UInt8>, _ host: BalancerLoop) -> OwnPage {
        host.settings.metrics.countRejected(refusal.rawValue)
        return OwnPage(content: .error(ErrorPage(refusal), asHTML: ErrorPage.prefersHTML(head.fields, in: bytes)))
    }

    // MARK: Probes

    static func answer(to probe: Probe, host: BalancerLoop) -> AdminAnswer {
        switch probe {
        case .livez: .json(Array("{\"status\":\"alive\"}\n".utf8))
        case .readyz where host.isDraining:
            .json(Array("{\"status\":\"draining\"}\n".utf8), status: 503).with("Keyvane-State", "draining")
        case .readyz: .json(Array("{\"status\":\"ready\"}\n".utf8))
        case .health: health(host)
        }
    }

    /// Healthy while every pool has a server to send requests to.
    private static func health(_ host: BalancerLoop) -> AdminAnswer {
        let isHealthy = host.pools.allSatisfy { $0.snapshot.usableCount > 0 }
        var out = JSONWriter()
        out.object {
            $0.member("status", isHealthy ? "healthy" : "unhealthy")
            $0.member("role", "balancer")
            $0.member("instance", host.settings.shared.instance)
            $0.object("checks") { checks in
                for pool in host.pools {
                    checks.object(pool.snapshot.name) {
                        $0.member("ok", pool.snapshot.usableCount > 0)
                        $0.member("up", pool.snapshot.usableCount)
                        $0.member("servers", pool.snapshot.members.count)
                    }
                }
            }
        }
        return .json(out.line, status: isHealthy ? 200 : 503)
    }
}
