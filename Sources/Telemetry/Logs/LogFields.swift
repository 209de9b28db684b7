// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging

/// The metadata of an event as sorted pairs of text.
enum LogFields {
    /// Later sources win: the handler's own metadata, the provider's, the event's. A dictionary's entries get dotted keys;
    /// an error that came with the event is the field `error` unless the metadata has one.
    static func flattened(
        _ event: LogEvent,
        _ metadata: Logger.Metadata,
        _ provider: Logger.MetadataProvider?
    ) -> [(key: String, value: String)] {
        var fields: [String: String] = [:]
        if let error = event.error { fields["error"] = String(describing: error) }
        for source in [metadata, provider?.get() ?? [:], event.metadata ?? [:]] {
            for (key, value) in source { add(value, under: key, to: &fields) }
        }
        return fields.sorted { $0.key < $1.key }
    }

    private static func add(_ value: Logger.MetadataValue, under key: String, to fields: inout [String: String]) {
        switch value {
        case .dictionary(let entries):
            for (name, value) in entries { add(value, under: key + "." + name, to: &fields) }
        case .string, .stringConvertible, .array:
            fields[key] = value.description
        }
    }
}
