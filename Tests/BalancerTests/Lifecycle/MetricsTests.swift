// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// The names and labels that dashboards and alerts rely on.
@Suite struct MetricsTests {
    private let metrics = RecordedMetrics.shared

    private func until(_ key: String, is value: Double) async throws {
        _ = try await eventually("\(key) to be \(value), not \(metrics.value(key) ?? -1)") { [metrics] in
            metrics.value(key) == value ? true : nil
        }
    }

    @Test func requestsTunnelsAndStates() async throws {
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            request.values("upgrade").isEmpty ? .ok() : .tunnel()
        }
        // Names of this test's own: metrics are the whole process's.
        let configure: @Sendable (inout BalancerConfiguration) -> Void = { $0.pools[0].health.interval = .milliseconds(50) }
        try await BalancerFixture.with([("counted", "counted-1")], configure: configure, script: script) { fixture in
            let labels = "{pool=\"counted\",server=\"counted-1\"}"
            try await until("balancer_server_up\(labels)", is: 1)
            let client = try await fixture.client()
            for _ in 0..<3 { _ = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
            try await until("balancer_requests_total{pool=\"counted\",server=\"counted-1\",status=\"200\"}", is: 3)
            let upgrade =
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            #expect(try await client.request(upgrade).status == 101)
            try await until("balancer_tunnels\(labels)", is: 1)
            try await until("balancer_requests_total{pool=\"counted\",server=\"counted-1\",status=\"101\"}", is: 1)
            client.close()
            try await until("balancer_tunnels\(labels)", is: 0)

            let rejected = metrics.value("balancer_rejected_total{reason=\"too_many_fields\"}") ?? 0
            let other = try await fixture.client()
            let fields = String(repeating: "X: y\r\n", count: 101)
            #expect(try await other.request("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n").status == 431)
            #expect((metrics.value("balancer_rejected_total{reason=\"too_many_fields\"}") ?? 0) > rejected)
            fixture.backends[0].become(.down)
            try await until("balancer_server_up\(labels)", is: 0)
            let last = try await fixture.client()
            #expect(try await last.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 503)
            try await until("balancer_requests_total{pool=\"counted\",server=\"none\",status=\"503\"}", is: 1)
            #expect((metrics.value("balancer_request_duration_seconds") ?? 0) >= 5)
        }
    }

    /// The old one's last tunnels are none of the new one's standing.
    @Test func aServerAtAnotherAddressIsUpWhileTheOldOneHasTunnels() async throws {
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            request.values("upgrade").isEmpty ? .ok() : .tunnel()
        }
        let pools = [("moved", "moved-1"), ("moved", "elsewhere")]
        try await BalancerFixture.with(pools, configure: { $0.pools[0].servers.removeLast() }, script: script) { fixture in
            let labels = "{pool=\"moved\",server=\"moved-1\"}"
            let client = try await fixture.client()
            let upgrade =
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            #expect(try await client.request(upgrade).status == 101)
            try await until("balancer_tunnels\(labels)", is: 1)
            let moved = ServerConfiguration(name: "moved-1", address: try await fixture.backends[1].endpoint)
            var configuration = BalancerConfiguration(
                listeners: [Endpoint(host: "127.0.0.1", port: 0)],
                pools: [PoolConfiguration(name: "moved", servers: [moved])]
            )
            configuration.admin = AdminConfiguration(bind: Endpoint(host: "127.0.0.1", port: 0))
            BalancerFixture.patient(&configuration)
            try await fixture.service.apply(configuration)
            try await until("balancer_server_up\(labels)", is: 1)
            try await until("balancer_server_draining\(labels)", is: 0)
        }
    }

    @Test func retriesAndRefusedPins() async throws {
        let pools = [("counted2", "counted2-1"), ("counted2", "counted2-2")]
        _ = metrics
        try await BalancerFixture.with(pools, dead: ["counted2-1"], configure: { $0.pools[0].health.interval = .seconds(600) }) { fixture in
            let before = metrics.value("balancer_retries_total") ?? 0
            let forged = metrics.value("balancer_sticky_refused_total{reason=\"forged\"}") ?? 0
            let client = try await fixture.client()
            for _ in 0..<2 {
                #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\nCookie: KEYVANE_COUNTED2=x\r\n\r\n").status == 200)
            }
            #expect((metrics.value("balancer_retries_total") ?? 0) > before)
            #expect((metrics.value("balancer_sticky_refused_total{reason=\"forged\"}") ?? 0) >= forged + 2)
        }
    }

    @Test func weightsDrainsQueuesAndPanic() async throws {
        _ = metrics
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            BalancerFixture.quick(&$0)
            $0.pools[0].servers[0].weight = 7
            $0.pools[0].servers[0].maxConnections = 1
            $0.pools[0].panic = true
            $0.pools[0].onMarkedDown = .keep
        }
        try await BalancerFixture.with([("counted3", "counted3-1")], configure: configure, script: BalancerFixture.byName) { fixture in
            let labels = "{pool=\"counted3\",server=\"counted3-1\"}"
            try await until("balancer_server_weight\(labels)", is: 7)
            try await until("balancer_pool_panic{pool=\"counted3\"}", is: 0)
            let holder = try await fixture.client()
            holder.send(BalancerFixture.get("/hang"))
            try await until("balancer_exchanges\(labels)", is: 1)
            let waiting = try await fixture.client()
            waiting.send(BalancerFixture.get)
            try await until("balancer_queued{pool=\"counted3\"}", is: 1)
            holder.reset()
            #expect(try await waiting.response().status == 200)
            try await until("balancer_queued{pool=\"counted3\"}", is: 0)
            try await fixture.state(.drain, "counted3-1", pool: "counted3")
            try await until("balancer_server_draining\(labels)", is: 1)
            try await until("balancer_server_weight\(labels)", is: 0)
            try await fixture.state(.ready, "counted3-1", pool: "counted3")
            try await until("balancer_server_draining\(labels)", is: 0)
            fixture.backends[0].become(.down)
            try await until("balancer_pool_panic{pool=\"counted3\"}", is: 1)
            #expect(try await fixture.answers(2) == ["counted3-1": 2])
        }
    }
}
