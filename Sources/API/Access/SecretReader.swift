// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store

/// Gives out the text of values within what the caller may see. The project's key is fetched when the first secret needs it, and belongs
/// to this request.
struct SecretReader {
    private let store: ConfigurationStore
    let scope: EnvironmentScope
    private var key: ProjectKey?
    /// The names of the secrets whose text it gave out: whoever answers with them has that recorded first.
    private(set) var revealed: [String] = []

    init(_ store: ConfigurationStore, _ scope: EnvironmentScope) {
        self.store = store
        self.scope = scope
    }

    /// Nil for a secret that the caller may not read.
    mutating func text(_ value: StoredValue, name: String, version: Int64) async throws -> String? {
        switch value {
        case .plain(let text):
            return text
        case .sealed(let sealed):
            guard scope.reveals(name, .secret) else { return nil }
            let text = try await projectKey().open(sealed, environmentID: scope.record.id, name: name, version: version)
            revealed.append(name)
            return text
        }
    }

    /// Nil also for an entry that has just been deleted.
    mutating func text(_ entry: Entry) async throws -> String? {
        guard let value = entry.value else { return nil }
        return try await text(value, name: entry.name, version: entry.version)
    }

    /// Nil also for a delete, which has no value.
    mutating func text(_ change: Change) async throws -> String? {
        guard let value = change.value else { return nil }
        return try await text(value, name: change.name, version: change.version)
    }

    /// Nil also for a deletion, which has no value.
    mutating func text(_ version: EntryVersion) async throws -> String? {
        guard let value = version.value else { return nil }
        return try await text(value, name: version.name, version: version.version)
    }

    private mutating func projectKey() async throws -> ProjectKey {
        if let key { return key }
        let key = try await store.projectKey(environmentID: scope.record.id)
        self.key = key
        return key
    }
}
