// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A mapping of the file whose keys are asked for by name.
struct FileMapping {
    let value: FileValue
    let entries: [String: FileValue]

    subscript(_ name: String) -> FileValue? { entries[name] }

    /// Notes the lack of a key that can't be left out.
    func required(_ name: String, _ what: String) -> FileValue? {
        if let value = entries[name] { return value }
        let key = value.key.isEmpty ? name : "\(value.key).\(name)"
        value.reading.fault(key, line: value.line, "is missing: \(what)")
        return nil
    }

    /// Changes `target` where the key is there and can be read.
    func read<Value>(_ name: String, into target: inout Value, _ body: (FileValue) -> Value?) {
        if let entry = entries[name], let value = body(entry) { target = value }
    }

    /// The same for what can be switched off.
    func read<Value>(_ name: String, into target: inout Value?, _ body: (FileValue) -> Value?) {
        guard let entry = entries[name] else { return }
        if entry.isOff {
            target = nil
        } else if let value = body(entry) {
            target = value
        }
    }
}
