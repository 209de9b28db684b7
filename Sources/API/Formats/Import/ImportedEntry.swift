// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// One name and value of an imported document; both keep the limits of the interface.
package struct ImportedEntry: Equatable, Sendable {
    package let name: String
    package let value: String
    /// Only a configuration as JSON says it; nil keeps a known name's kind.
    package let isSecret: Bool?
    /// Where it stands, for later faults: `line 3`, or a JSON pointer.
    package let place: String

    package init(name: String, value: String, isSecret: Bool? = nil, place: String) {
        self.name = name
        self.value = value
        self.isSecret = isSecret
        self.place = place
    }
}
