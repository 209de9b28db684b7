// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store

/// `{"description"?,"grants"?,"expiresAt"?}`: what becomes of a token, judged as if its changer made it. `"expiresAt":null` is for ever.
struct TokenChangeBody {
    let change: TokenChange

    init(_ json: JSONValue, of token: TokenRecord, maker: TokenRecord, now: Date) throws(Problem) {
        var body = ObjectReader(json, fields: ["description", "grants", "expiresAt"])
        let description = body.update("description", .remark)
        let grants = TokenBody.grants(&body)
        let faults = body.faults.count
        let expiry = TokenBody.expiry(&body, now)
        let isWider = body.contains("grants") || body.contains("expiresAt")
        // A new description hurts nobody; new grants on an old expiry may.
        if isWider, body.faults.count == faults {
            TokenBody.requireMortal(&body, body.contains("expiresAt") ? expiry : token.expiresAt, maker)
        }
        try body.check()
        // Who prolongs a token, or revives an expired one, grants what it has.
        let isLonger = body.contains("expiresAt") && (expiry ?? .distantFuture) > (token.expiresAt ?? .distantFuture)
        if body.contains("grants") || isLonger {
            try TokenBody.requireGrantable(body.contains("grants") ? grants : token.grants, maker)
        }
        change = TokenChange(
            description: description == .clear ? "" : description.value,
            grants: body.contains("grants") ? grants : nil,
            expiry: body.contains("expiresAt") ? expiry.map { .at($0) } ?? .never : .keep
        )
    }
}
