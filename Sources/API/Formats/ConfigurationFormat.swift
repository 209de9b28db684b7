// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Documents that hold a whole configuration, as values in and bytes out. Import: a body's bytes go through the format's reader into
// `ImportedEntry` values, or into a `FormatFault` that names every place at fault. Export: entries go through one writer into bytes.
// Owner: the one request that imports or exports; no I/O, no clock, nothing shared or kept.
// Must hold: no fault repeats a value, which may be a secret; time and memory are linear in the document, whoever wrote it; what
// is exported as JSON, YAML or dotenv is imported as the same names and values, byte for byte.

/// The value of `?format=`.
package enum ConfigurationFormat: String, CaseIterable, Sendable {
    case json, dotenv, yaml, shell, kubernetes

    /// A shell script can't be read without running it, and a Kubernetes Secret is made for the cluster.
    package static let importable: [ConfigurationFormat] = [.json, .dotenv, .yaml]

    package var contentType: String {
        switch self {
        case .json: "application/json"
        case .dotenv, .shell: "text/plain; charset=utf-8"
        case .yaml, .kubernetes: "application/yaml; charset=utf-8"
        }
    }
}
