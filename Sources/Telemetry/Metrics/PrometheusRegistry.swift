// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What flows through: counters, gauges and durations from swift-metrics into cells, and the cells into the text of `/metrics`.
// Who owns it: the composition root makes one registry, gives it to `MetricsSystem.bootstrap` and serves `render()`.
// What must hold: an update touches atomics only; names and labels are checked once, when a metric is made, never per update;
// the text has the same order at every scrape; no label, however it came to be, can break the format or grow it without end.

package import CoreMetrics
import Synchronization

/// Prometheus behind swift-metrics. The tables are guarded by one mutex, taken when a metric is made or destroyed and
/// for a moment at a scrape; the cells themselves are lock-free.
package final class PrometheusRegistry: MetricsFactory {
    private struct State {
        var families: [String: MetricFamily] = [:]
        // Hummingbird makes its metrics anew for each request, so the spelling of a metric leads straight to its cell.
        var cells: [Spelling: any MetricCell] = [:]
        var callbacks: [String: MetricCallback] = [:]
    }

    private struct Spelling: Hashable {
        let source: MetricSource
        let label: String
        let dimensions: [MetricLabel]
    }

    private let state = Mutex(State())
    private let help: [String: String]
    private let buckets: [String: [Double]]
    private let seriesLimit: Int

    /// - Parameters:
    ///   - help: HELP texts by exposed metric name; other metrics are described by the label they were made with.
    ///   - buckets: upper bounds by exposed histogram name, rising; other histograms get bounds that suit their unit.
    ///   - seriesLimit: series a family may have; further ones are summed up in a series labelled `overflow="true"`.
    package init(help: [String: String] = [:], buckets: [String: [Double]] = [:], seriesLimit: Int = 2_000) {
        self.help = help
        self.buckets = buckets
        self.seriesLimit = seriesLimit
    }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        cell(.counter, label, dimensions) { CounterCell(identity: $0) }
    }

    package func makeFloatingPointCounter(label: String, dimensions: [(String, String)]) -> any FloatingPointCounterHandler {
        cell(.counter, label, dimensions) { CounterCell(identity: $0) }
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        cell(.gauge, label, dimensions) { GaugeCell(identity: $0) }
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        guard aggregate else { return cell(.gauge, label, dimensions) { GaugeCell(identity: $0) } }
        return cell(.recorder, label, dimensions) { HistogramCell(identity: $0, bounds: self.bounds(of: $0.name)) }
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        cell(.timer, label, dimensions) { HistogramCell(identity: $0, bounds: self.bounds(of: $0.name)) }
    }

    package func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
    package func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
    package func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
    package func destroyTimer(_ handler: any TimerHandler) { remove(handler) }

    /// Adds a metric whose samples are read at each scrape, on the scraping thread and outside the registry's mutex.
    /// The same name again replaces the reader.
    package func register(
        _ type: MetricType,
        name: String,
        help: String,
        read: @escaping @Sendable () -> [MetricSample]
    ) {
        let callback = MetricCallback(name: MetricName.metric(name), type: type, help: help, read: read)
        state.withLock { $0.callbacks[callback.name] = callback }
    }

    /// Adds a gauge without labels that is read at each scrape; nil leaves it out of that scrape.
    package func registerGauge(name: String, help: String, read: @escaping @Sendable () -> Double?) {
        register(.gauge, name: name, help: help) { read().map { [MetricSample(value: $0)] } ?? [] }
    }

    /// The families and callbacks of this moment, for `render()`.
    func contents() -> (families: [MetricFamily], callbacks: [MetricCallback]) {
        state.withLock { (Array($0.families.values), Array($0.callbacks.values)) }
    }

    private func bounds(of name: String) -> [Double] {
        buckets[name] ?? HistogramBuckets.standard(for: name)
    }

    private func cell<Cell: MetricCell>(
        _ source: MetricSource,
        _ label: String,
        _ dimensions: [(String, String)],
        make: (MetricIdentity) -> Cell
    ) -> Cell {
        let spelling = Spelling(source: source, label: label, dimensions: dimensions.map(MetricLabel.init))
        return state.withLock { state in
            if let known = state.cells[spelling] as? Cell { return known }
            var name = MetricName.metric(label, from: source)
            // Two types under one name would make the whole exposition unreadable: the later one moves aside.
            if let family = state.families[name], family.type != source.type { name += "_\(source.type.rawValue)" }
            var labels = MetricName.labels(dimensions)
            var family =
                state.families[name]
                ?? MetricFamily(name: name, type: source.type, help: help[name] ?? "\(source.noun) \(label).")
            let isOverflow = family.series[labels] == nil && family.series.count >= seriesLimit
            if isOverflow { labels = MetricFamily.overflowLabels }
            if let known = family.series[labels] as? Cell {
                // An overflowing spelling isn't remembered: the table of spellings would grow in place of the family.
                if !isOverflow { state.cells[spelling] = known }
                return known
            }
            let cell = make(MetricIdentity(name: name, labels: labels))
            family.series[labels] = cell
            state.families[name] = family
            if !isOverflow { state.cells[spelling] = cell }
            return cell
        }
    }

    /// Everybody who made the same metric shares its cell, so destroying it once takes it out of the exposition for all.
    private func remove(_ handler: AnyObject) {
        guard let cell = handler as? any MetricCell else { return }
        state.withLock { state in
            guard state.families[cell.identity.name]?.series[cell.identity.labels] === cell else { return }
            state.families[cell.identity.name]?.series[cell.identity.labels] = nil
            state.cells = state.cells.filter { $0.value !== cell }
        }
    }
}
