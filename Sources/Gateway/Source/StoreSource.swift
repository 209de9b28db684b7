// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation
package import Store

/// The gateway's questions, answered by the store.
package struct StoreSource: ConfigurationSource {
    private let store: ConfigurationStore

    package init(_ store: ConfigurationStore) {
        self.store = store
    }

    package var isAvailable: Bool { store.isAvailable }

    package func ping() async throws(StoreError) {
        try await store.ping()
    }

    package func load(_ path: EnvironmentPath) async throws(StoreError) -> LoadedEnvironment {
        let start = try await store.watchStart(path, history: FeedContent.historyLimit)
        var content = FeedContent(head: start.snapshot.cursor, entries: start.snapshot.entries)
        content.remember(start.changes)
        let (id, key) = (start.environmentID, start.key)
        return LoadedEnvironment(id: id, content: content, later: start.changes) { name, version, sealed in
            try key.open(sealed, environmentID: id, name: name, version: version)
        }
    }

    package func changes(_ id: UUID, since revision: Int64, limit: Int) async throws(StoreError) -> ChangesPage {
        try await store.changes(environmentID: id, since: revision, limit: limit)
    }

    package func changes(since probes: [HeadProbe], limit: Int) async throws(StoreError) -> [ChangesPage] {
        try await store.changes(since: probes, limit: limit)
    }

    package func heads(_ probes: [HeadProbe]) async throws(StoreError) -> [Head] {
        try await store.heads(probes)
    }

    package func authenticate(_ text: String) async throws(StoreError) -> TokenRecord? {
        try await store.authenticate(text)
    }

    package func tokenEvents(after place: TokenLogPlace?, limit: Int) async throws(StoreError) -> TokenEventPage {
        try await store.tokenEvents(after: place, limit: limit)
    }

    package func token(_ id: String) async throws(StoreError) -> TokenRecord? {
        try await store.token(id)
    }

    package func record(_ notes: [AuditNote]) async throws(StoreError) {
        try await store.record(notes)
    }
}
