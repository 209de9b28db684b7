// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A dimension as swift-metrics gives it, made hashable.
struct MetricLabel: Hashable {
    let name: String
    let value: String

    init(_ dimension: (String, String)) {
        name = dimension.0
        value = dimension.1
    }
}

/// Names and label sets in the spelling that the exposition format allows.
enum MetricName {
    /// `http.server.request.duration` becomes `http_server_request_duration`; letters outside ASCII become `_` too.
    static func metric(_ label: String) -> String { legal(label, allowsColon: true) }

    /// The exposed name: a counter ends in `_total` and a timer in `_seconds`, whether or not their label says so.
    static func metric(_ label: String, from source: MetricSource) -> String {
        let name = metric(label)
        switch source {
        case .counter: return name.hasSuffix("_total") ? name : name + "_total"
        case .timer: return name.hasSuffix("_seconds") ? name : name + "_seconds"
        case .gauge, .recorder: return name
        }
    }

    /// `method="GET",route="/v1"`: sorted by name, so that the order of the dimensions doesn't make another series.
    static func labels(_ dimensions: [(String, String)]) -> String {
        var values: [String: String] = [:]
        for (name, value) in dimensions {
            var name = legal(name, allowsColon: false)
            // A histogram's buckets own `le`, and names with two underscores in front belong to Prometheus.
            if name == "le" || name.hasPrefix("__") { name = "exported_" + name }
            values[name] = value
        }
        return values.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(escaped($0.value))\"" }.joined(separator: ",")
    }

    private static func legal(_ name: String, allowsColon: Bool) -> String {
        var result = ""
        for scalar in name.unicodeScalars {
            switch scalar {
            case "a"..."z", "A"..."Z", "_":
                result.unicodeScalars.append(scalar)
            case "0"..."9":
                if result.isEmpty { result = "_" }
                result.unicodeScalars.append(scalar)
            case ":" where allowsColon:
                result.unicodeScalars.append(scalar)
            default:
                result.unicodeScalars.append("_")
            }
        }
        return result.isEmpty ? "_" : result
    }

    private static func escaped(_ value: String) -> String {
        var result = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": result += #"\\"#
            case "\"": result += #"\""#
            case "\n": result += #"\n"#
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
