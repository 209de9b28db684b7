// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The TYPE of a family in the exposition.
package enum MetricType: String, Sendable {
    case counter
    case gauge
    case histogram
}

/// The swift-metrics kind a metric was made as; it decides the name's suffix and the type.
enum MetricSource {
    case counter
    case gauge
    case recorder
    case timer

    var type: MetricType {
        switch self {
        case .counter: .counter
        case .gauge: .gauge
        case .recorder, .timer: .histogram
        }
    }

    var noun: String {
        switch self {
        case .counter: "Counter"
        case .gauge: "Gauge"
        case .recorder: "Recorder"
        case .timer: "Timer"
        }
    }
}

/// Where a cell stands in the exposition: its family's name and its labels as they are written, without braces.
struct MetricIdentity: Sendable {
    let name: String
    let labels: String
}

/// One series: updated through swift-metrics' handler protocols, read by `render()`, both without a lock.
protocol MetricCell: AnyObject, Sendable {
    var identity: MetricIdentity { get }
    func render(into text: inout Exposition)
}

/// All series of one name. A value guarded by the registry's mutex; a scrape works on its own copy.
struct MetricFamily {
    static let overflowLabels = #"overflow="true""#

    let name: String
    let type: MetricType
    let help: String
    var series: [String: any MetricCell] = [:]
}

/// One value read at a scrape.
package struct MetricSample: Sendable {
    package var labels: [(String, String)]
    package var value: Double

    package init(labels: [(String, String)] = [], value: Double) {
        self.labels = labels
        self.value = value
    }
}

struct MetricCallback: Sendable {
    let name: String
    let type: MetricType
    let help: String
    let read: @Sendable () -> [MetricSample]
}
