// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// What becomes of a token; nil leaves a field as it is.
package struct TokenChange: Sendable {
    package enum Expiry: Hashable, Sendable {
        case keep
        case never
        case at(Date)

        var moment: Date? {
            switch self {
            case .keep, .never: nil
            case .at(let moment): moment
            }
        }
    }

    package let description: String?
    package let grants: [Grant]?
    package let expiry: Expiry

    package init(description: String? = nil, grants: [Grant]? = nil, expiry: Expiry = .keep) {
        self.description = description
        self.grants = grants
        self.expiry = expiry
    }
}
