// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// `{"from":"w/p/e","names"?:[glob]}`
struct PromotionBody {
    let from: EnvironmentPath
    /// Absent is everything.
    let names: NameSet

    init(_ json: JSONValue) throws(Problem) {
        var body = ObjectReader(json, fields: ["from", "names"])
        let text = body.text("from", .environmentPath)
        let names = body.texts("names", .glob)
        if body.contains("names"), names.isEmpty || names.count > NameSet.maximumGlobs {
            body.refuse("names", "must hold 1 to \(NameSet.maximumGlobs) names or patterns; leave it out for all of them")
        }
        try body.check()
        guard let path = try? EnvironmentPath(parsing: text) else { throw .unexpected }
        from = path
        self.names = names.isEmpty ? .everything : NameSet(names.compactMap(NameGlob.init))
    }
}

extension TextRule {
    fileprivate static let environmentPath = TextRule { text throws(StoreError) in
        if (try? EnvironmentPath(parsing: text)) != nil { return text }
        throw StoreError(.invalid, "it must be an environment, written workspace/project/environment")
    }

    fileprivate static let glob = TextRule { text throws(StoreError) in
        if NameGlob(text) != nil { return text }
        throw StoreError(.invalid, "it must be a name or a pattern with * and ?")
    }
}
