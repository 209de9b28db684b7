// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

@Suite("Outbox")
struct OutboxTests {
    @Test("What a dead process left is claimed once, oldest first, and goes when it was announced")
    func claims() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let id = fixture.environmentID
            for value in 1...6 { try await fixture.set("A", "\(value)") }
            let young = try await store.pendingAnnouncements(olderThan: .seconds(60), limit: 10)
            #expect(young.isEmpty)
            // Two relays at the same time share the work.
            async let left = store.pendingAnnouncements(olderThan: .zero, limit: 3)
            async let right = store.pendingAnnouncements(olderThan: .zero, limit: 3)
            let both = try await left + right
            #expect(both.count == 6 && Set(both).count == 6)
            let none = try await store.pendingAnnouncements(olderThan: .zero, limit: 10)
            #expect(none.isEmpty)
            try await store.removeAnnouncements([
                Announcement(environmentID: id, first: 1, last: 1), Announcement(environmentID: id, first: 2, last: 2),
            ])
            try await store.removeAnnouncements([])
            // A relay that died with its claim: the others get it when the claim is over.
            let again = try await eventually("the claims to end") { () async throws -> [Announcement]? in
                let found = try await store.pendingAnnouncements(olderThan: .zero, limit: 10)
                return found.isEmpty ? nil : found
            }
            #expect(again.map(\.first) == [3, 4, 5, 6])
            // The rows say which changes to announce.
            let changes = try await store.changes(environmentID: id, first: again[0].first, last: again[0].last)
            #expect(changes.map(\.value) == [.plain("3")])
        }
    }

    @Test("While Redis is away the outbox shrinks to a row an environment")
    func collapse() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let other = try await store.createEnvironment(workspace: "acme", project: "web", slug: "other", actor: "root")
            for value in 1...5 { try await fixture.set("A", "\(value)") }
            let change = EntryChange(name: "B", op: .set("1"), kind: .variable)
            _ = try await store.mutate(Mutation(environmentID: other.id, changes: [change], actor: "root"))
            try await store.collapseAnnouncements()
            try await fixture.set("A", "6")
            try await store.collapseAnnouncements()
            let found = try await store.pendingAnnouncements(olderThan: .zero, limit: 10)
            let expected = [
                Announcement(environmentID: fixture.environmentID, first: 1, last: 6),
                Announcement(environmentID: other.id, first: 1, last: 1),
            ]
            #expect(Set(found) == Set(expected))
            // One that has grown since it was claimed stays.
            try await fixture.set("A", "7")
            try await store.collapseAnnouncements()
            try await store.removeAnnouncements(found)
            let rest = try await fixture.database.sql("SELECT first, last FROM keyvane.outbox")
            #expect(rest == ["1|7"])
        }
    }
}
