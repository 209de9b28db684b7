// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Store

/// What a mutation's request brought: its body, and the name under which it may be sent again.
struct RequestInput: Sendable {
    /// Nothing where no body came.
    let bytes: [UInt8]
    let idempotencyKey: IdempotencyKey?

    func json() throws(Problem) -> JSONValue {
        do throws(JSONParser.Fault) {
            return try JSONParser.parse(bytes)
        } catch {
            throw Problem(.malformedJSON, "The body is not JSON: \(error.reason) (at byte \(error.offset)).")
        }
    }

    /// For actions that need no body: nothing, or an object without members.
    func requireEmpty() throws(Problem) {
        if bytes.isEmpty { return }
        try ObjectReader(try json(), fields: []).check()
    }
}
