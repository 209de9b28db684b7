// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
package import Notifier
package import Store

/// The store's outbox as the notifier's relay reads it.
package struct StoredOutbox: OutboxSource {
    private let store: ConfigurationStore

    package init(_ store: ConfigurationStore) {
        self.store = store
    }

    package func pending(olderThan age: Duration, limit: Int) async throws -> [OutboxAnnouncement] {
        try await store.pendingAnnouncements(olderThan: age, limit: limit).map { row in
            OutboxAnnouncement(environmentID: row.environmentID.lowercased, first: row.first, last: row.last)
        }
    }

    package func changes(of announcement: OutboxAnnouncement) async throws -> [ChangeMessage] {
        // An id that is none was never ours; "gone" is the answer that ends it.
        guard let id = UUID(uuidString: announcement.environmentID) else { return [] }
        return try await store.changes(environmentID: id, first: announcement.first, last: announcement.last).map { ChangeMessage($0) }
    }

    package func remove(_ announcements: [OutboxAnnouncement]) async throws {
        let rows = announcements.compactMap { announcement in
            UUID(uuidString: announcement.environmentID).map { id in
                Announcement(environmentID: id, first: announcement.first, last: announcement.last)
            }
        }
        try await store.removeAnnouncements(rows)
    }

    package func collapse() async throws {
        try await store.collapseAnnouncements()
    }
}
