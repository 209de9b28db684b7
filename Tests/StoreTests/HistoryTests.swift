// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

/// The log as a time machine, and what of it may be trimmed.
@Suite(.serialized) struct HistoryTests {
    /// Every state that ever was is written down as it happens, and must be found again.
    @Test func everyRevisionCanBeReadAgain() async throws {
        try await StoreFixture.with { fixture in
            var seen = [try await fixture.now()]
            let steps: [[EntryChange]] = [
                [EntryChange(name: "A", op: .set("1"), kind: .variable), EntryChange(name: "S", op: .set("x"), kind: .secret)],
                [EntryChange(name: "A", op: .set("2"), note: "why")],
                [EntryChange(name: "S", op: .disable, kind: .secret)],
                [EntryChange(name: "A", op: .rename(to: "B"), kind: .variable)],
                [EntryChange(name: "B", op: .delete), EntryChange(name: "C", op: .set("3"), kind: .variable)],
                [EntryChange(name: "S", op: .enable, kind: .secret)],
                [EntryChange(name: "C", op: .seal, kind: .variable)],
                [EntryChange(name: "B", op: .set("4"), kind: .secret)],
            ]
            for step in steps {
                let outcome = try await fixture.mutate(step)
                let now = try await fixture.now()
                // A revision in the middle of a transaction means all of it.
                for _ in outcome.changes { seen.append(now) }
            }
            for (revision, state) in seen.enumerated() {
                let found = try await fixture.store.state(environmentID: fixture.environmentID, at: Int64(revision))
                #expect(found == state, "at \(revision)")
            }
            let head = seen.count - 1
            await expectRefusal(.invalid) { try await fixture.store.state(environmentID: fixture.environmentID, at: Int64(head + 1)) }
        }
    }

    /// What docs/operations.md recommends for long logs.
    @Test func aPartitionedLogIsTheSameLog() async throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let script = try String(contentsOf: root.appending(path: "docs/partition-change-log.sql"), encoding: .utf8)
        try await StoreFixture.with { fixture in
            var seen = [try await fixture.now()]
            for number in 1...20 {
                if number == 11 { try await fixture.database.sql("BEGIN; \(script) COMMIT;") }
                _ = try await fixture.mutate([EntryChange(name: "NAME_\(number % 3)", op: .set("\(number)"), kind: .variable)])
                seen.append(try await fixture.now())
            }
            let parts = try await fixture.database.sql("SELECT count(*) FROM pg_inherits WHERE inhparent = 'keyvane.change'::regclass")
            #expect(parts == ["16"])
            for (revision, state) in seen.enumerated() {
                let found = try await fixture.store.state(environmentID: fixture.environmentID, at: Int64(revision))
                #expect(found == state, "at \(revision)")
            }
            let page = try await fixture.store.changes(environmentID: fixture.environmentID, since: 0, limit: 100)
            #expect(page.changes.map(\.revision) == (1...20).map(Int64.init))
        }
    }

    @Test func versionsComeInPages() async throws {
        try await StoreFixture.with { fixture in
            for number in 1...5 { try await fixture.set("A", "\(number)") }
            var versions: [Int64] = []
            var cursor: String?
            repeat {
                let request = try PageRequest(limit: 2, after: cursor)
                let found = try await fixture.store.versions(environmentID: fixture.environmentID, name: "A", kind: .variable, request)
                let page = try #require(found)
                versions += page.items.map(\.version)
                cursor = page.nextCursor
            } while cursor != nil
            #expect(versions == [5, 4, 3, 2, 1])
            let other = try await fixture.versions("A", .secret)
            #expect(other == nil)
            let none = try await fixture.versions("B", .variable)
            #expect(none == nil)
        }
    }

    @Test func trimmingKeepsEveryStateFromItsPointOn() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("STAYS", "from the beginning")
            for number in 1...2_500 { try await fixture.set("A", "\(number)") }
            try await fixture.set("GONE", "1")
            try await fixture.delete("GONE")
            let pair = try await fixture.mutate([
                EntryChange(name: "A", op: .set("old"), kind: .variable), EntryChange(name: "B", op: .set("old"), kind: .variable),
            ])
            let point = pair.revision
            // All of this becomes two days old; what follows is new.
            _ = try await fixture.database.sql("UPDATE keyvane.change SET at = at - interval '2 days'")
            try await fixture.set("A", "new")
            try await fixture.delete("B")
            var states: [Int64: EnvironmentState] = [:]
            for revision in point...(point + 2) {
                states[revision] = try await fixture.store.state(environmentID: fixture.environmentID, at: revision)
            }
            let before = try await fixture.allChanges().filter { $0.revision > point }

            let policy = RetentionPolicy(changes: .seconds(25 * 60 * 60), audit: nil)
            let trimmed = await fixture.store.trim(policy)
            #expect(trimmed.changes == 2_502)
            let again = await fixture.store.trim(policy)
            #expect(again.changes == 0)
            for (revision, state) in states {
                let found = try await fixture.store.state(environmentID: fixture.environmentID, at: revision)
                #expect(found == state, "at \(revision)")
            }
            await expectRefusal(.revisionTooOld) { try await fixture.store.state(environmentID: fixture.environmentID, at: point - 1) }
            let old = try await fixture.store.changes(environmentID: fixture.environmentID, since: point - 1, limit: 100)
            #expect(old.tooOld)
            let recent = try await fixture.store.changes(environmentID: fixture.environmentID, since: point, limit: 100)
            #expect(!recent.tooOld)
            #expect(recent.markAtSince != nil)
            #expect(recent.changes == before)
            await expectRefusal(.revisionTooOld) {
                try await fixture.mutate([EntryChange(name: "A", op: .rollback(version: 1), kind: .variable)])
            }
            let snapshot = try await fixture.store.snapshot(environmentID: fixture.environmentID)
            #expect(snapshot.entries.map(\.name) == ["A", "STAYS"])
        }
    }

    @Test func everyEnvironmentIsTrimmedAndAnInterruptedRunIsFinishedByTheNext() async throws {
        try await StoreFixture.with { fixture in
            var fixtures = [fixture]
            for slug in ["staging", "test"] {
                let environment = try await fixture.store.createEnvironment(workspace: "acme", project: "web", slug: slug, actor: "root")
                fixtures.append(StoreFixture(store: fixture.store, database: fixture.database, environment: environment))
            }
            for one in fixtures {
                for number in 1...3 { try await one.set("A", "\(number)") }
                try await one.set("B", "1")
                try await one.delete("B")
                try await one.set("C", "1")
            }
            try await fixture.database.sql("UPDATE keyvane.change SET at = at - interval '2 days'")
            try await fixture.database.sql("UPDATE keyvane.entry SET updated_at = updated_at - interval '2 days'")
            try await fixture.database.sql("UPDATE keyvane.audit SET at = at - interval '2 days'")
            var states: [EnvironmentState] = []
            for one in fixtures {
                try await one.set("A", "young")
                states.append(try await one.store.state(environmentID: one.environmentID, at: 6))
            }

            // What goes wrong after the mark was set, in one of them, holds up none of the others.
            try await fixture.database.sql(
                """
                CREATE FUNCTION keyvane.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
                CREATE TRIGGER refuse BEFORE DELETE ON keyvane.change FOR EACH ROW
                    WHEN (old.environment_id = '\(fixture.environmentID)') EXECUTE FUNCTION keyvane.refuse();
                """
            )
            let policy = RetentionPolicy(changes: .seconds(25 * 60 * 60), audit: .seconds(25 * 60 * 60))
            let first = await fixture.store.trim(policy)
            #expect(first.failure != nil && first.changes == 8 && first.audits >= 18)
            #expect(try await fixture.database.sql("SELECT trimmed_through FROM keyvane.environment") == ["6", "6", "6"])
            try await fixture.database.sql("DROP TRIGGER refuse ON keyvane.change")
            let second = await fixture.store.trim(policy)
            #expect(second.failure == nil && second.changes == 4)
            // Another process was ended between its mark and the first row.
            try await fixture.database.sql("UPDATE keyvane.environment SET trimmed_through = 7 WHERE id = '\(fixtures[1].environmentID)'")
            let third = await fixture.store.trim(policy)
            #expect(third.failure == nil && third.changes == 1)
            let fourth = await fixture.store.trim(policy)
            #expect(fourth.failure == nil && fourth.changes == 0)

            for (one, state) in zip(fixtures, states) where one.environmentID != fixtures[1].environmentID {
                let found = try await one.store.state(environmentID: one.environmentID, at: 6)
                #expect(found == state)
            }
            for one in fixtures {
                let head = try await one.store.state(environmentID: one.environmentID, at: 7)
                let now = try await one.now()
                #expect(head == now)
            }
        }
    }

    /// Cut off anywhere, the next run does the rest, and nothing but the rest.
    @Test func aCancelledRunIsFinishedByTheNext() async throws {
        try await StoreFixture.with { fixture in
            for number in 1...1_500 { try await fixture.set("A", "\(number)") }
            try await fixture.database.sql("UPDATE keyvane.change SET at = at - interval '2 days'")
            try await fixture.database.sql("UPDATE keyvane.entry SET updated_at = updated_at - interval '2 days'")
            let policy = RetentionPolicy(changes: .seconds(25 * 60 * 60), audit: nil)
            let cut = Task { await fixture.store.trim(policy) }
            cut.cancel()
            let part = await cut.value
            let rest = await fixture.store.trim(policy)
            #expect(part.failure == nil && rest.failure == nil && part.changes + rest.changes == 1_499)
            let state = try await fixture.store.state(environmentID: fixture.environmentID, at: 1_500)
            let now = try await fixture.now()
            #expect(state == now)
        }
    }

    @Test func whatIsYoungerThanADayStaysWhateverThePolicySays() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("A", "1")
            try await fixture.set("A", "2")
            let trimmed = await fixture.store.trim(RetentionPolicy(changes: .zero, audit: .zero))
            #expect(trimmed.changes == 0 && trimmed.audits == 0)
            _ = try await fixture.database.sql("UPDATE keyvane.audit SET at = at - interval '25 hours'")
            let audits = await fixture.store.trim(RetentionPolicy(changes: nil, audit: .zero)).audits
            #expect(audits >= 2)
        }
    }
}

extension StoreFixture {
    func now() async throws -> EnvironmentState {
        try await store.state(environmentID: environmentID)
    }
}
