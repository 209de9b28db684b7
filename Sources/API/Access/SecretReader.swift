// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store

/// Gives out the text of values within what the caller may see. The project's key is fetched when the first secret needs it, and belongs
/// to this request.
struct SecretReader {
    private let store: ConfigurationStore
    private let scope: EnvironmentScope
    private var key: ProjectKey?

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
            return try await projectKey().open(sealed, environmentID: scope.record.id, name: name, version: version)
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

    private mutating func projectKey() async throws -> ProjectKey {
        if let key { return key }
        let key = try await store.projectKey(environmentID: scope.record.id)
        self.key = key
        return key
    }
}
