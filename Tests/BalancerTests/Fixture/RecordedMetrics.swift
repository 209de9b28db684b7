// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Synchronization

/// Metrics of the whole test process, by name and labels: `name{a="b",c="d"}`. Guarded by its mutex.
final class RecordedMetrics: MetricsFactory {
    /// Bootstrapped at first use; metrics made earlier are not seen.
    static let shared: RecordedMetrics = {
        let metrics = RecordedMetrics()
        MetricsSystem.bootstrap(metrics)
        return metrics
    }()

    private let values = Mutex<[String: Double]>([:])

    func value(_ key: String) -> Double? { values.withLock { $0[key] } }
    var keys: [String] { values.withLock { Array($0.keys) } }

    private func key(_ label: String, _ dimensions: [(String, String)]) -> String {
        let labels = dimensions.sorted { $0.0 < $1.0 }.map { "\($0.0)=\"\($0.1)\"" }.joined(separator: ",")
        return labels.isEmpty ? label : "\(label){\(labels)}"
    }

    fileprivate func change(_ key: String, _ body: (inout Double) -> Void) {
        values.withLock { body(&$0[key, default: 0]) }
    }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler { Cell(self, key(label, dimensions)) }
    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler { Cell(self, key(label, dimensions)) }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { Cell(self, key(label, dimensions)) }

    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        Cell(self, key(label, dimensions))
    }

    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyMeter(_ handler: any MeterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}

    private final class Cell: CounterHandler, MeterHandler, TimerHandler, RecorderHandler {
        private let owner: RecordedMetrics
        private let key: String

        init(_ owner: RecordedMetrics, _ key: String) {
            self.owner = owner
            self.key = key
        }

        func increment(by amount: Int64) { owner.change(key) { $0 += Double(amount) } }
        func increment(by amount: Double) { owner.change(key) { $0 += amount } }
        func decrement(by amount: Double) { owner.change(key) { $0 -= amount } }
        func set(_ value: Int64) { owner.change(key) { $0 = Double(value) } }
        func set(_ value: Double) { owner.change(key) { $0 = value } }
        func record(_ value: Int64) { owner.change(key) { $0 += 1 } }
        func record(_ value: Double) { owner.change(key) { $0 += 1 } }
        func recordNanoseconds(_ duration: Int64) { owner.change(key) { $0 += 1 } }
        func reset() { owner.change(key) { $0 = 0 } }
    }
}
