// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// `{"value","note"?}`
struct EntryBody {
    let value: String
    /// Absent leaves the note alone, null takes it away.
    let note: FieldUpdate<String>

    init(_ json: JSONValue) throws(Problem) {
        var body = ObjectReader(json, fields: ["value", "note"])
        value = body.text("value", .value)
        note = body.update("note", .remark)
        try body.check()
    }

    /// The store has no note that was taken away, only an empty one.
    func change(_ name: String, _ kind: EntryKind) -> EntryChange {
        let note: String? =
            switch note {
            case .keep: nil
            case .clear: ""
            case .set(let text): text
            }
        return EntryChange(name: name, op: .set(value), kind: kind, note: note)
    }
}
