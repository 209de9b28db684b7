// Keyvane
// SPDX-License-Identifier: Apache-2.0

import KeyvaneClient

/// An environment without its entries.
struct EnvironmentHead: Codable {
    let id: String
    let revision: Int
    let updatedAt: String?
}

/// One version of an entry; the value is nil after a delete, and for a secret that the token may not read.
struct EntryVersion: Codable {
    let version: Int
    let value: String?
    let op: String
    let revision: Int
    let at: String
    let by: String
    let note: String?

    /// For a secret's version.
    var masked: EntryVersion {
        EntryVersion(
            version: version,
            value: value == nil ? nil : WatchChange.mask,
            op: op,
            revision: revision,
            at: at,
            by: by,
            note: note
        )
    }
}

/// A part of the change log.
struct ChangeList: Decodable {
    let items: [WatchChange]
}

/// Names that differ between two states.
struct Difference: Codable {
    let added: [String]
    let removed: [String]
    let changed: [String]

    var isEmpty: Bool { added.isEmpty && removed.isEmpty && changed.isEmpty }
}

/// What an import would change, and how many it would reach.
struct DryRun: Codable {
    let added: [String]
    let removed: [String]
    let changed: [String]
    let watchers: Int?
}
