// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Synchronization

/// Metrics of one store, by name and label values: a counter's sum, a gauge's last value, the number of a histogram's values.
/// Guarded by its mutex.
final class CountedMetrics: MetricsFactory {
    private let values = Mutex<[String: Double]>([:])

    func value(_ key: String) -> Double? { values.withLock { $0[key] } }

    fileprivate func change(_ key: String, _ body: (inout Double) -> Void) {
        values.withLock { body(&$0[key, default: 0]) }
    }

    private func cell(_ label: String, _ dimensions: [(String, String)]) -> Cell {
        Cell(self, ([label] + dimensions.map(\.1)).joined(separator: " "))
    }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler { cell(label, dimensions) }
    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler { cell(label, dimensions) }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { cell(label, dimensions) }
    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler { cell(label, dimensions) }
    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyMeter(_ handler: any MeterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}

    private final class Cell: CounterHandler, MeterHandler, TimerHandler, RecorderHandler {
        private let owner: CountedMetrics
        private let key: String

        init(_ owner: CountedMetrics, _ key: String) {
            self.owner = owner
            self.key = key
        }

        func increment(by amount: Int64) { owner.change(key) { $0 += Double(amount) } }
        func increment(by amount: Double) { owner.change(key) { $0 += amount } }
        func decrement(by amount: Double) { owner.change(key) { $0 -= amount } }
        func set(_ value: Int64) { owner.change(key) { $0 = Double(value) } }
        func set(_ value: Double) { owner.change(key) { $0 = value } }
        func record(_ value: Int64) { owner.change(key) { $0 = Double(value) } }
        func record(_ value: Double) { owner.change(key) { $0 = value } }
        func recordNanoseconds(_ duration: Int64) { owner.change(key) { $0 += 1 } }
        func reset() { owner.change(key) { $0 = 0 } }
    }
}
