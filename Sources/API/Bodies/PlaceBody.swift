// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What creates a workspace, a project or an environment.
struct PlaceBody {
    let slug: String
    let name: String?
    let description: String?

    init(_ json: JSONValue) throws(Problem) {
        var body = ObjectReader(json, fields: ["slug", "name", "description"])
        slug = body.text("slug", .slug)
        name = body.optionalText("name", .title)
        description = body.optionalText("description", .remark)
        try body.check()
    }
}
