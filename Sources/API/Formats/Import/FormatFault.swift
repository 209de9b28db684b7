// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Why a document was not read: all faults of it, in the order of their places, up to a hundred.
package struct FormatFault: Error, Equatable, Sendable {
    /// A detail is a predicate with its remedy, to be read after the place: "line 3" "has no closing quote; …".
    package struct Item: Equatable, Sendable {
        package let place: String
        package let detail: String
    }

    /// A document can hold as many faults as it has bytes; the first hundred say enough.
    package static let maximumItems = 100
    static let nameRule = "a name has 1 to 255 letters, digits, underscores, dots and hyphens, with a letter or underscore first"

    package let faults: [Item]
}
