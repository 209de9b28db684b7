// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// What changes a workspace, a project or an environment: `{"name"?,"description"?}`. Null goes back to what a new one has.
struct PlaceChangeBody {
    let change: PlaceChange

    /// - Parameter slug: the name of a place that has none of its own.
    init(_ json: JSONValue, slug: String) throws(Problem) {
        var body = ObjectReader(json, fields: ["name", "description", "slug"])
        if body.contains("slug") { body.refuse("slug", "can't be changed: tokens, watchers and the audit go by it") }
        let name = body.update("name", .title)
        let description = body.update("description", .remark)
        try body.check()
        change = PlaceChange(name: name.text(cleared: slug), description: description.text(cleared: ""))
    }
}

extension FieldUpdate<String> {
    fileprivate func text(cleared: String) -> String? {
        switch self {
        case .keep: nil
        case .clear: cleared
        case .set(let text): text
        }
    }
}
