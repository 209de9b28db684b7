// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store

/// Plaintexts for the server's own use: to write them elsewhere, not to answer with them.
struct ValueOpener: Sendable {
    private let environmentID: UUID
    private let key: ProjectKey?

    /// The key is fetched only where one of the entries needs it.
    init(_ store: ConfigurationStore, _ environmentID: UUID, for entries: [Entry]) async throws {
        self.environmentID = environmentID
        key = try await entries.contains { $0.kind == .secret } ? store.projectKey(environmentID: environmentID) : nil
    }

    func text(_ entry: Entry) throws -> String {
        switch entry.value {
        case .plain(let text)?: return text
        case .sealed(let sealed)?:
            guard let key else { throw Problem.unexpected }
            return try key.open(sealed, environmentID: environmentID, name: entry.name, version: entry.version)
        case nil: return ""
        }
    }
}
