// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Foundation
import Telemetry
import Testing

@Suite("The text of /metrics")
struct ExpositionTests {
    @Test("is the golden text: names, types, order, buckets, escapes")
    func golden() throws {
        let registry = PrometheusRegistry(
            help: ["api_requests_total": "Requests by route\nand status, \\ escaped."],
            buckets: ["render_size_bytes": [10, 100]]
        )
        let ok = Counter(label: "api_requests_total", dimensions: [("status", "200"), ("route", "/v1/watch")], factory: registry)
        let odd = Counter(label: "api_requests_total", dimensions: [("route", "a\"b\\c\nd"), ("status", "404")], factory: registry)
        let duration = Timer(label: "api_request_duration_seconds", dimensions: [], factory: registry)
        let dotted = Timer(label: "http.server.request.duration", dimensions: [("http.method", "GET")], factory: registry)
        let fraction = FloatingPointCounter(label: "work.seconds", dimensions: [], factory: registry)
        let gauge = Gauge(label: "gateway_connections", dimensions: [], factory: registry)
        let meter = Meter(label: "9lives", dimensions: [], factory: registry)
        let size = Recorder(label: "render_size_bytes", dimensions: [("le", "x")], aggregate: true, factory: registry)
        registry.register(.gauge, name: "balancer_server_up", help: "1 where the server passes its checks.") {
            [
                MetricSample(labels: [("server", "api-2"), ("pool", "api")], value: 0),
                MetricSample(labels: [("server", "api-1"), ("pool", "api")], value: 1),
            ]
        }
        registry.registerGauge(name: "absent", help: "Never shown.") { nil }

        ok.increment(by: 41)
        ok.increment()
        odd.increment()
        duration.recordNanoseconds(100_000)
        duration.recordNanoseconds(100_001)
        duration.recordMilliseconds(70)
        duration.recordSeconds(60)
        dotted.recordSeconds(1)
        fraction.increment(by: 0.25)
        fraction.increment(by: 2.0)
        gauge.record(12_345)
        meter.set(1e300)
        meter.set(3)
        meter.increment(by: 0.5)
        meter.decrement()
        size.record(10)
        size.record(10.5)
        size.record(1_000)

        #expect(registry.renderText() == (try Self.goldenText()))
        #expect(registry.render() == registry.render())
        #expect(PrometheusRegistry.contentType == "text/plain; version=0.0.4; charset=utf-8")
    }

    @Test(
        "writes numbers so that Prometheus reads the same back",
        arguments: [
            (0, "0"), (-3, "-3"), (0.1, "0.1"), (1e300, "1e+300"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
            (9_007_199_254_740_991, "9007199254740991"),
        ]
    )
    func numbers(value: Double, text: String) {
        let registry = PrometheusRegistry()
        registry.registerGauge(name: "value", help: "A value.") { value }
        #expect(registry.renderText() == "# HELP value A value.\n# TYPE value gauge\nvalue \(text)\n")
    }

    @Test("an empty registry says nothing")
    func empty() {
        #expect(PrometheusRegistry().render().isEmpty)
    }

    private static func goldenText() throws -> String {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Golden/metrics/exposition.txt")
        return try String(contentsOf: file, encoding: .utf8)
    }
}
