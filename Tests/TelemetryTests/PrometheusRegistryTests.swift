// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Telemetry
import Testing

@Suite("The metrics registry")
struct PrometheusRegistryTests {
    @Test("the same metric made twice, with its labels in any order, is one series")
    func shared() {
        let registry = PrometheusRegistry()
        Counter(label: "hits_total", dimensions: [("a", "1"), ("b", "2")], factory: registry).increment()
        Counter(label: "hits", dimensions: [("b", "2"), ("a", "1")], factory: registry).increment()
        #expect(Self.samples(registry) == [#"hits_total{a="1",b="2"} 2"#])
    }

    @Test("a destroyed metric leaves the text, and made again starts at nothing")
    func destroyed() {
        let registry = PrometheusRegistry()
        let first = Counter(label: "x_total", dimensions: [("n", "1")], factory: registry)
        let second = Counter(label: "x_total", dimensions: [("n", "2")], factory: registry)
        first.increment(by: 5)
        second.increment(by: 6)
        first.destroy()
        #expect(Self.samples(registry) == [#"x_total{n="2"} 6"#])
        second.destroy()
        #expect(registry.render().isEmpty)
        Counter(label: "x_total", dimensions: [("n", "1")], factory: registry).increment()
        #expect(Self.samples(registry) == [#"x_total{n="1"} 1"#])
        first.destroy()
        #expect(Self.samples(registry) == [#"x_total{n="1"} 1"#])
    }

    @Test("a name used for two types keeps the exposition readable")
    func twoTypes() {
        let registry = PrometheusRegistry()
        Gauge(label: "x_seconds", dimensions: [], factory: registry).record(1)
        Recorder(label: "x_seconds", dimensions: [], aggregate: true, factory: registry).record(1)
        let types = registry.renderText().split(separator: "\n").filter { $0.hasPrefix("# TYPE") }
        #expect(types == ["# TYPE x_seconds gauge", "# TYPE x_seconds_histogram histogram"])
    }

    @Test("a family is limited; what comes after shares one series")
    func limited() {
        let registry = PrometheusRegistry(seriesLimit: 2)
        for value in 0..<10 {
            Counter(label: "x_total", dimensions: [("id", String(value))], factory: registry).increment()
        }
        Counter(label: "x_total", dimensions: [("id", "1")], factory: registry).increment()
        #expect(Self.samples(registry) == [#"x_total{id="0"} 1"#, #"x_total{id="1"} 2"#, #"x_total{overflow="true"} 8"#])
    }

    @Test("counters never fall, and one bad observation spoils nothing")
    func badValues() {
        let registry = PrometheusRegistry(buckets: ["size": [1]])
        let counter = FloatingPointCounter(label: "x_total", dimensions: [], factory: registry)
        counter.increment(by: 1.5)
        counter.increment(by: -1.0)
        counter.increment(by: Double.nan)
        let size = Recorder(label: "size", dimensions: [], aggregate: true, factory: registry)
        size.record(Double.nan)
        size.record(Double.infinity)
        size.record(0.5)
        let timer = Timer(label: "t_seconds", dimensions: [], factory: registry)
        timer.recordNanoseconds(-5)
        let samples = Self.samples(registry)
        #expect(samples.contains("x_total 1.5"))
        #expect(samples.contains("size_sum 0.5"))
        #expect(samples.contains("size_count 1"))
        #expect(samples.contains("t_seconds_sum 0"))
        #expect(samples.contains("t_seconds_count 1"))
        counter.reset()
        #expect(Self.samples(registry).contains("x_total 0"))
    }

    @Test("callbacks: the last registration and the last duplicate sample stand")
    func callbacks() {
        let registry = PrometheusRegistry()
        registry.registerGauge(name: "depth.now", help: "Old.") { 1 }
        registry.register(.counter, name: "depth.now", help: "New.") {
            [MetricSample(labels: [("q", "a")], value: 1), MetricSample(labels: [("q", "a")], value: 2)]
        }
        #expect(registry.renderText() == "# HELP depth_now New.\n# TYPE depth_now counter\ndepth_now{q=\"a\"} 2\n")
    }

    @Test("nothing is lost when many threads count and others scrape")
    func concurrent() async {
        let registry = PrometheusRegistry(buckets: ["size": [0.5]])
        let rounds = 20_000
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    let counter = Counter(label: "n_total", dimensions: [], factory: registry)
                    let fraction = FloatingPointCounter(label: "f_total", dimensions: [], factory: registry)
                    let meter = Meter(label: "level", dimensions: [], factory: registry)
                    let timer = Timer(label: "t_seconds", dimensions: [], factory: registry)
                    let size = Recorder(label: "size", dimensions: [], aggregate: true, factory: registry)
                    for round in 0..<rounds {
                        counter.increment()
                        fraction.increment(by: 0.5)
                        meter.increment(by: 1.0)
                        timer.recordNanoseconds(1_000)
                        size.record(1.0)
                        if round % 100 == 0 {
                            Counter(label: "made_total", dimensions: [("w", "\(worker % 2)")], factory: registry).increment()
                        }
                    }
                }
            }
            group.addTask {
                for _ in 0..<50 { Self.checkHistograms(registry.renderText()) }
            }
        }
        let samples = Self.samples(registry)
        #expect(samples.contains("n_total 160000"))
        #expect(samples.contains("f_total 80000"))
        #expect(samples.contains("level 160000"))
        #expect(samples.contains("t_seconds_count 160000"))
        #expect(samples.contains("t_seconds_sum 0.16"))
        #expect(samples.contains("size_sum 160000"))
        #expect(samples.contains(#"size_bucket{le="0.5"} 0"#))
        #expect(samples.contains(#"made_total{w="0"} 800"#))
        #expect(samples.contains(#"made_total{w="1"} 800"#))
    }

    @Test("process metrics tell about this process")
    func process() throws {
        let registry = PrometheusRegistry()
        registry.registerProcessMetrics()
        var values: [String: Double] = [:]
        for sample in Self.samples(registry) {
            let parts = sample.split(separator: " ")
            values[String(parts[0])] = Double(parts[1])
        }
        #expect(try #require(values["process_cpu_seconds_total"]) > 0)
        #if os(Linux)
            #expect(try #require(values["process_resident_memory_bytes"]) > 1_000_000)
            #expect(try #require(values["process_virtual_memory_bytes"]) > #require(values["process_resident_memory_bytes"]))
            #expect(try #require(values["process_open_fds"]) >= 3)
            #expect(try #require(values["process_max_fds"]) >= 64)
            #expect(try #require(values["process_start_time_seconds"]) > 1_700_000_000)
        #endif
    }

    /// In any scrape the last bucket and the count are the same number.
    private static func checkHistograms(_ text: String) {
        let lines = text.split(separator: "\n")
        guard let bucket = lines.first(where: { $0.hasPrefix("t_seconds_bucket{le=\"+Inf\"} ") }),
            let count = lines.first(where: { $0.hasPrefix("t_seconds_count ") })
        else { return }
        #expect(bucket.split(separator: " ").last == count.split(separator: " ").last)
    }

    private static func samples(_ registry: PrometheusRegistry) -> [String] {
        registry.renderText().split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init)
    }
}
