// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The text of one scrape in Prometheus' text exposition format 0.0.4, built up line by line.
struct Exposition {
    private(set) var bytes: [UInt8] = []

    init() {
        bytes.reserveCapacity(16_384)
    }

    mutating func head(_ name: String, type: MetricType, help: String) {
        line("# HELP ", name, " ", Self.escapedHelp(help))
        line("# TYPE ", name, " ", type.rawValue)
    }

    mutating func sample(_ name: String, labels: String, value: Int64) {
        sample(name, labels: labels, text: String(value))
    }

    mutating func sample(_ name: String, labels: String, value: Double) {
        sample(name, labels: labels, text: Self.number(value))
    }

    mutating func bucket(_ name: String, labels: String, bound: Double, count: Int64) {
        let bound = "le=\"\(Self.number(bound))\""
        sample(name + "_bucket", labels: labels.isEmpty ? bound : labels + "," + bound, text: String(count))
    }

    private mutating func sample(_ name: String, labels: String, text: String) {
        if labels.isEmpty {
            line(name, " ", text)
        } else {
            line(name, "{", labels, "} ", text)
        }
    }

    private mutating func line(_ parts: String...) {
        for part in parts { bytes.append(contentsOf: part.utf8) }
        bytes.append(UInt8(ascii: "\n"))
    }

    /// Whole numbers without a fraction, others in the shortest form that reads back the same.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        // Beyond 2^53 not every whole number is a double; there the exponent form says what is known.
        if value.magnitude < 9_007_199_254_740_992, let whole = Int64(exactly: value) { return String(whole) }
        return value.description
    }

    private static func escapedHelp(_ help: String) -> String {
        var result = ""
        for scalar in help.unicodeScalars {
            switch scalar {
            case "\\": result += #"\\"#
            case "\n": result += #"\n"#
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension PrometheusRegistry {
    /// The value of `Content-Type` for what `render()` returns.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// The exposition, sorted by name and labels. It reads process files and runs the callbacks, so an event loop that
    /// must not stall calls it on another thread.
    package func render() -> [UInt8] {
        let (families, callbacks) = contents()
        var text = Exposition()
        var sections: [(name: String, write: (inout Exposition) -> Void)] = []
        // A family that lost its last series to `destroy` says nothing; a callback takes precedence over a family of its name.
        let called = Set(callbacks.map(\.name))
        for family in families where !family.series.isEmpty && !called.contains(family.name) {
            sections.append(
                (
                    family.name,
                    { text in
                        text.head(family.name, type: family.type, help: family.help)
                        for (_, cell) in family.series.sorted(by: { $0.key < $1.key }) { cell.render(into: &text) }
                    }
                )
            )
        }
        for callback in callbacks {
            // Two samples with the same labels would be refused by Prometheus: the last one stands.
            var samples: [String: Double] = [:]
            for sample in callback.read() { samples[MetricName.labels(sample.labels)] = sample.value }
            if samples.isEmpty { continue }
            sections.append(
                (
                    callback.name,
                    { text in
                        text.head(callback.name, type: callback.type, help: callback.help)
                        for (labels, value) in samples.sorted(by: { $0.key < $1.key }) {
                            text.sample(callback.name, labels: labels, value: value)
                        }
                    }
                )
            )
        }
        for section in sections.sorted(by: { $0.name < $1.name }) { section.write(&text) }
        return text.bytes
    }

    /// `render()` as text.
    package func renderText() -> String {
        String(decoding: render(), as: UTF8.self)
    }
}
