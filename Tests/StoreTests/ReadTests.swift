// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

@Suite("Reads")
struct ReadTests {
    private func changes(_ names: [String], _ value: String) -> [EntryChange] {
        names.map { EntryChange(name: $0, op: .set(value), kind: .variable) }
    }

    @Test("A limit never cuts a transaction, and pages follow each other")
    func limit() async throws {
        try await StoreFixture.with { fixture in
            _ = try await fixture.mutate(changes(["A", "B", "C"], "1"))
            try await fixture.set("A", "2")
            _ = try await fixture.mutate(changes(["A", "B"], "3"))
            let id = fixture.environmentID
            for (since, limit, expected) in [
                (0, 1, 1...3), (0, 3, 1...3), (0, 4, 1...4), (0, 5, 1...6), (3, 1, 4...4), (3, 2, 4...6), (4, 9, 5...6),
            ] {
                let page = try await fixture.store.changes(environmentID: id, since: Int64(since), limit: limit)
                #expect(page.changes.map(\.revision) == expected.map(Int64.init), "since \(since) limit \(limit)")
                #expect(page.revision == 6 && !page.tooOld && page.cursor == page.changes.last?.cursor)
            }
            let between = try await fixture.store.changes(environmentID: id, first: 5, last: 6)
            #expect(between.map(\.name) == ["A", "B"] && between.allSatisfy { $0.first == 5 && $0.last == 6 })
            let missing = await failure { try await fixture.store.changes(environmentID: UUID(), since: 0, limit: 1) }
            #expect(missing?.code == .notFound)
        }
    }

    @Test("The mark at a reader's own revision tells its history from another")
    func marks() async throws {
        try await StoreFixture.with { fixture in
            let id = fixture.environmentID
            let before = try await fixture.store.changes(environmentID: id, since: 0, limit: 10)
            #expect(before.changes.isEmpty && before.head == fixture.environment.cursor && before.markAtSince == fixture.environment.mark)
            let first = try await fixture.set("A", "1")
            let second = try await fixture.set("A", "2")
            let page = try await fixture.store.changes(environmentID: id, since: 1, limit: 10)
            #expect(page.markAtSince == first.mark && page.head == second.cursor && page.cursor == second.cursor)
            let atHead = try await fixture.store.changes(environmentID: id, since: 2, limit: 10)
            #expect(atHead.changes.isEmpty && atHead.markAtSince == second.mark && atHead.cursor == second.cursor)
            let beyond = try await fixture.store.changes(environmentID: id, since: 3, limit: 10)
            #expect(beyond.changes.isEmpty && beyond.markAtSince == nil && beyond.revision == 2)
            let gone = UUID()
            let probes = [HeadProbe(id: id, revision: 0), HeadProbe(id: gone, revision: 0)]
            let heads = try await fixture.store.heads(probes)
            #expect(heads == [Head(id: id, revision: 2, mark: second.mark, markAtProbe: fixture.environment.mark)])
            let later = try await fixture.store.heads([HeadProbe(id: id, revision: 1)])
            #expect(later.first?.markAtProbe == first.mark)
            let ahead = try await fixture.store.heads([HeadProbe(id: id, revision: 9)])
            #expect(ahead.first?.markAtProbe == nil && ahead.first?.cursor == second.cursor)
            let pages = try await fixture.store.changes(since: probes, limit: 10)
            #expect(pages.map(\.environmentID) == [id])
        }
    }

    @Test("Trimmed history is too old, from its edge on not")
    func tooOld() async throws {
        try await StoreFixture.with { fixture in
            for value in 1...4 { try await fixture.set("A", "\(value)") }
            try await fixture.database.sql(
                "DELETE FROM keyvane.change WHERE revision <= 2; UPDATE keyvane.environment SET trimmed_through = 2"
            )
            let early = try await fixture.store.changes(environmentID: fixture.environmentID, since: 1, limit: 10)
            #expect(early.tooOld && early.changes.isEmpty && early.revision == 4)
            let edge = try await fixture.store.changes(environmentID: fixture.environmentID, since: 2, limit: 10)
            #expect(!edge.tooOld && edge.changes.map(\.revision) == [3, 4])
        }
    }

    @Test("Entries come in pages by the bytes of their names, filtered by kind")
    func pages() async throws {
        try await StoreFixture.with { fixture in
            _ = try await fixture.mutate(["b", "B", "a.c", "_x", "a-b", "Z"].map { EntryChange(name: $0, op: .set("v"), kind: .variable) })
            _ = try await fixture.mutate([
                EntryChange(name: "Secret", op: .set("v"), kind: .secret), EntryChange(name: "gone", op: .set("")),
            ])
            try await fixture.delete("gone")
            var names: [String] = []
            var after: String?
            repeat {
                let page = try await fixture.store.entries(
                    environmentID: fixture.environmentID,
                    kind: nil,
                    PageRequest(limit: 3, after: after)
                )
                names += page.items.map(\.name)
                after = page.nextCursor
            } while after != nil
            #expect(names == ["B", "Secret", "Z", "_x", "a-b", "a.c", "b"])
            let secrets = try await fixture.store.entries(environmentID: fixture.environmentID, kind: .secret, PageRequest())
            #expect(secrets.items.map(\.name) == ["Secret"] && secrets.nextCursor == nil)
            let snapshot = try await fixture.store.snapshot(environmentID: fixture.environmentID)
            #expect(snapshot.entries.map(\.name) == names)
            // A NUL must not end the name early and find another one.
            let cut = try await fixture.store.entry(environmentID: fixture.environmentID, name: "B\0x")
            #expect(cut == nil)
        }
    }

    @Test("Disabled entries are in lists but not in snapshots")
    func disabled() async throws {
        try await StoreFixture.with { fixture in
            _ = try await fixture.mutate(changes(["A", "B"], "1"))
            try await fixture.database.sql("UPDATE keyvane.entry SET enabled = false WHERE name = 'A'")
            let snapshot = try await fixture.store.snapshot(environmentID: fixture.environmentID)
            #expect(snapshot.entries.map(\.name) == ["B"] && snapshot.revision == 2)
            let list = try await fixture.store.entries(environmentID: fixture.environmentID, kind: nil, PageRequest())
            #expect(list.items.map(\.enabled) == [false, true])
            // Setting a disabled entry is a change that watchers see as its absence.
            let outcome = try await fixture.set("A", "2")
            #expect(outcome.changes.first?.op == .delete && outcome.changes.first?.value == nil)
            #expect(try await fixture.allChanges().last == outcome.changes.first)
        }
    }
}
