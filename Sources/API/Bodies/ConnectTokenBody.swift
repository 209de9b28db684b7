// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// `{"grants"?,"ttl"}`: a part of what the caller may do, or all of it, for some seconds.
struct ConnectTokenBody {
    private static let lifetimes: ClosedRange<Int64> = 10...86_400

    let grants: [Grant]?
    let lifetime: Duration

    init(_ json: JSONValue, maker: TokenRecord) throws(Problem) {
        var body = ObjectReader(json, fields: ["grants", "ttl"])
        let read = TokenBody.grants(&body)
        let seconds = body.integer("ttl", in: Self.lifetimes)
        try body.check()
        lifetime = .seconds(seconds)
        grants = body.contains("grants") ? read : nil
        let refused = read.indices.filter { !maker.holds(read[$0]) }
        if refused.isEmpty { return }
        throw Problem(.notGranted, "A connect token can do no more than the token that makes it.").with { problem in
            problem.faults = refused.map { FieldFault("/grants/\($0)", "goes beyond this token's own grants") }
        }
    }
}
