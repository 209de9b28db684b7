// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Synchronization

/// A histogram (swift-metrics' Timer and Recorder). Lock-free, shared by all threads.
///
/// `_count` is summed from the buckets, so that it always equals the `+Inf` bucket; `_sum` may be ahead of them or behind by
/// the observations that are being made during the scrape.
final class HistogramCell: MetricCell, TimerHandler, RecorderHandler {
    let identity: MetricIdentity
    private let bounds: [Double]
    // Durations are compared and summed as integers: no conversion and no compare-and-swap loop per observation.
    private let nanosecondBounds: [Int64]
    private let nanoseconds = Atomic<Int64>(0)
    private let sum = AtomicDouble()
    private let counts: AtomicRow

    init(identity: MetricIdentity, bounds: [Double]) {
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "the bounds of \(identity.name) don't rise")
        self.identity = identity
        self.bounds = bounds
        nanosecondBounds = bounds.map { Int64(exactly: ($0 * 1e9).rounded()) ?? .max }
        counts = AtomicRow(count: bounds.count + 1)
    }

    func recordNanoseconds(_ duration: Int64) {
        // Clocks that step back give negative durations; they count as none.
        let duration = max(0, duration)
        counts.increment(Self.bucket(of: duration, in: nanosecondBounds))
        nanoseconds.wrappingAdd(duration, ordering: .relaxed)
    }

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        // One infinity or NaN would spoil the sum for the life of the process.
        guard value.isFinite else { return }
        counts.increment(Self.bucket(of: value, in: bounds))
        sum.add(value)
    }

    func render(into text: inout Exposition) {
        let total = sum.value + Double(nanoseconds.load(ordering: .relaxed)) / 1e9
        var cumulative: Int64 = 0
        for index in 0...bounds.count {
            cumulative += counts.value(index)
            let bound = index < bounds.count ? bounds[index] : .infinity
            text.bucket(identity.name, labels: identity.labels, bound: bound, count: cumulative)
        }
        text.sample(identity.name + "_sum", labels: identity.labels, value: total)
        text.sample(identity.name + "_count", labels: identity.labels, value: cumulative)
    }

    /// The first bucket whose upper bound is not below the value (bounds are inclusive).
    private static func bucket<Value: Comparable>(of value: Value, in bounds: [Value]) -> Int {
        var low = 0
        var high = bounds.count
        while low < high {
            let middle = (low + high) / 2
            if bounds[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// A fixed row of atomic counts; the memory belongs to this object.
///
/// `@unchecked Sendable` because the pointer never changes, lives as long as the object, and what it points to is only reached atomically.
private final class AtomicRow: @unchecked Sendable {
    private let cells: UnsafeMutablePointer<Atomic<Int64>>
    private let count: Int

    init(count: Int) {
        self.count = count
        cells = .allocate(capacity: count)
        for index in 0..<count { (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize(count: count)
        cells.deallocate()
    }

    func increment(_ index: Int) {
        precondition(index < count)
        cells[index].wrappingAdd(1, ordering: .relaxed)
    }

    func value(_ index: Int) -> Int64 {
        precondition(index < count)
        return cells[index].load(ordering: .relaxed)
    }
}

/// Upper bounds by unit.
enum HistogramBuckets {
    static let seconds = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]
    static let bytes: [Double] = [64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216]
    static let counts: [Double] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]

    static func standard(for name: String) -> [Double] {
        if name.hasSuffix("_seconds") { return seconds }
        return name.hasSuffix("_bytes") ? bytes : counts
    }
}
