// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// `{"set":[{"name","value","isSecret"?}],"delete":["NAME"]}`, all of it one transaction.
struct PatchBody {
    private struct Setting {
        let name: String
        let value: String
        /// Absent keeps a known name's kind and makes a new one a variable.
        let isSecret: Bool?
    }

    /// In the order of the body: revisions are given out in this order.
    let changes: [EntryChange]
    /// Where each change stands in the body.
    let pointers: [String]

    init(_ json: JSONValue) throws(Problem) {
        var body = ObjectReader(json, fields: ["set", "delete"])
        let settings = body.objects("set", fields: ["name", "value", "isSecret"]) { item in
            Setting(name: item.text("name", .entryName), value: item.text("value", .value), isSecret: item.optionalFlag("isSecret"))
        }
        let deletions = body.texts("delete", .entryName)
        // Places can only be counted while every element was readable.
        if body.faults.isEmpty { Self.refuseRepeats(settings.map(\.name), deletions, &body) }
        try body.check()
        changes =
            settings.map { setting in
                EntryChange(
                    name: setting.name,
                    op: .set(setting.value),
                    kind: setting.isSecret.map { $0 ? .secret : .variable }
                )
            } + deletions.map { EntryChange(name: $0, op: .delete) }
        pointers = settings.indices.map { "/set/\($0)/name" } + deletions.indices.map { "/delete/\($0)" }
    }

    /// Set and deleted at once, or set twice: which one wins would depend on who reads it.
    private static func refuseRepeats(_ set: [String], _ deleted: [String], _ body: inout ObjectReader) {
        var seen: Set<String> = []
        for (index, name) in set.enumerated() where !seen.insert(name).inserted {
            body.refuse(at: "/set/\(index)/name", "is set twice")
        }
        for (index, name) in deleted.enumerated() where !seen.insert(name).inserted {
            body.refuse(at: "/delete/\(index)", "comes twice")
        }
    }
}
