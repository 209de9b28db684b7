// Keyvane
// SPDX-License-Identifier: Apache-2.0

package enum EntryKind: String, Hashable, Sendable {
    case variable
    case secret
}

/// A value as it is stored and as it travels between our processes.
package enum StoredValue: Hashable, Sendable {
    case plain(String)
    /// `sealed:v1:…`: only `ProjectKey.open` makes text of it.
    case sealed(String)

    init(kind: EntryKind, text: String) {
        switch kind {
        case .variable: self = .plain(text)
        case .secret: self = .sealed(text)
        }
    }

    /// The stored text; of a secret, the sealed one.
    package var text: String {
        switch self {
        case .plain(let text), .sealed(let text): text
        }
    }
}

/// One variable or secret as it is now.
package struct Entry: Hashable, Sendable {
    package let name: String
    package let kind: EntryKind
    /// Nil only where the entry has just been deleted.
    package let value: StoredValue?
    package let version: Int64
    package let revision: Int64
    package let note: String?
    package let enabled: Bool
    package let updatedAt: Timestamp
    package let updatedBy: String
}
