// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// One name and value as a document is made of them.
package struct ExportedEntry: Sendable {
    package let name: String
    package let value: String
    package let isSecret: Bool
    package let version: Int64
    package let revision: Int64

    package init(name: String, value: String, isSecret: Bool, version: Int64, revision: Int64) {
        self.name = name
        self.value = value
        self.isSecret = isSecret
        self.version = version
        self.revision = revision
    }
}
