// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation

/// A caller's name for one request: sent again within a day under the same name, it gets the first answer and does nothing.
package struct IdempotencyKey: Hashable, Sendable {
    /// Whose key it is: two tokens may use the same text.
    package let token: String
    package let key: String
    /// A digest of the whole request, which tells a repetition from another request under the same key.
    package let fingerprint: String

    package init(token: String, key: String, request: [String], body: [UInt8]) {
        self.token = token
        self.key = key
        var hash = SHA256()
        for part in request {
            hash.update(data: Data(part.utf8))
            // In no method and no target, so that parts can't be told differently.
            hash.update(data: [0])
        }
        hash.update(data: body)
        fingerprint = Data(hash.finalize()).base64EncodedString()
    }
}
