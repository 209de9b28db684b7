// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

@Suite("Mutations")
struct MutationTests {
    @Test("A set makes a revision, an entry, a change, an audit row and an outbox row")
    func oneSet() async throws {
        try await StoreFixture.with { fixture in
            let outcome = try await fixture.set("DB_HOST", "10.0.0.5", note: "moved")
            #expect(outcome.revision == 1 && outcome.first == 1 && outcome.last == 1 && outcome.created)
            let change = try #require(outcome.changes.first)
            #expect(change.op == .set && change.value == .plain("10.0.0.5") && change.version == 1 && change.by == "token:ab12cd34")
            #expect(change.mark == outcome.mark)
            let entry = try #require(try await fixture.store.entry(environmentID: fixture.environmentID, name: "DB_HOST"))
            #expect(outcome.entries == [entry])
            #expect(entry.value == .plain("10.0.0.5") && entry.note == "moved" && entry.enabled && entry.revision == 1)
            #expect(try await fixture.allChanges() == outcome.changes)
            let environment = try await fixture.store.environment(id: fixture.environmentID)
            #expect(environment.cursor == outcome.cursor && environment.updatedAt == entry.updatedAt)
            let audit = try await fixture.database.sql(
                "SELECT actor, action, target, first, last FROM keyvane.audit WHERE first IS NOT NULL"
            )
            #expect(audit == ["token:ab12cd34|entry.set|DB_HOST|1|1"])
            #expect(try await fixture.database.sql("SELECT first, last FROM keyvane.outbox") == ["1|1"])
        }
    }

    @Test("Values come back as they were given")
    func values() async throws {
        try await StoreFixture.with { fixture in
            let texts = [
                "", "NULL", "\"q\" \\ {a,b} 'x' $1 %", "line\nline\r\n\ttab", "Grüße 🐘 \u{FFFD}", String(repeating: "x", count: 65_536),
            ]
            for kind in [EntryKind.variable, .secret] {
                let changes = texts.enumerated().map {
                    EntryChange(name: "\(kind.rawValue)_\($0)", op: .set($1), kind: kind, note: $1.isEmpty ? "" : "n\"\\")
                }
                let outcome = try await fixture.mutate(changes)
                #expect(outcome.changes.count == texts.count)
            }
            let key = try await fixture.store.projectKey(environmentID: fixture.environmentID)
            for entry in try await fixture.store.snapshot(environmentID: fixture.environmentID).entries {
                let index = try #require(Int(entry.name.split(separator: "_")[1]))
                switch entry.value {
                case .plain(let text): #expect(text == texts[index])
                case .sealed(let text):
                    let opened = try key.open(text, environmentID: fixture.environmentID, name: entry.name, version: entry.version)
                    #expect(opened == texts[index])
                }
            }
        }
    }

    @Test("A write that changes nothing makes no revision; a changed note alone does", arguments: [EntryKind.variable, .secret])
    func noOp(kind: EntryKind) async throws {
        try await StoreFixture.with { fixture in
            let first = try await fixture.set("A", "1", kind: kind, note: "why")
            for note in [nil, "why"] {
                let again = try await fixture.set("A", "1", kind: kind, note: note)
                #expect(again.changes.isEmpty && again.first == nil && !again.created)
                #expect(again.entries == first.entries && again.cursor == first.cursor)
            }
            let noted = try await fixture.set("A", "1", kind: kind, note: "because")
            #expect(noted.revision == 2 && noted.entries.first?.version == 2 && noted.entries.first?.note == "because" && !noted.created)
            // A new value without a note leaves the note.
            let second = try await fixture.set("A", "2", kind: kind)
            #expect(second.entries.first?.note == "because")
            #expect(try await fixture.revision() == 3)
            #expect(try await fixture.database.sql("SELECT count(*) FROM keyvane.outbox") == ["3"])
            let gone = try await fixture.delete("NEVER_THERE")
            #expect(gone.changes.isEmpty && gone.entries.isEmpty && gone.revision == 3)
        }
    }

    @Test("A deleted entry goes on counting versions when it is made again, also as the other kind")
    func versionsRise() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("A", "1")
            let deleted = try await fixture.delete("A")
            #expect(deleted.changes.map(\.op) == [.delete] && deleted.changes.first?.value == nil && deleted.changes.first?.version == 2)
            #expect(deleted.entries.isEmpty)
            #expect(try await fixture.store.entry(environmentID: fixture.environmentID, name: "A") == nil)
            #expect(try await fixture.delete("A").changes.isEmpty)
            let again = try await fixture.set("A", "1", kind: .secret)
            #expect(
                again.created && again.entries.first?.version == 3 && again.entries.first?.kind == .secret
                    && again.entries.first?.note == nil
            )
            #expect(try await fixture.database.sql("SELECT entry_count, entry_bytes FROM keyvane.environment") == ["1|2"])
        }
    }

    @Test("A name has one kind at a time")
    func kinds() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("A", "1")
            try await fixture.set("S", "hidden", kind: .secret)
            await expectRefusal(.conflict) { try await fixture.set("A", "2", kind: .secret) }
            await expectRefusal(.conflict) { try await fixture.set("S", "2") }
            await expectRefusal(.notFound) { try await fixture.delete("S", kind: .variable) }
            // Without a kind each keeps its own, and a new name becomes a variable.
            let outcome = try await fixture.mutate(["A", "S", "N"].map { EntryChange(name: $0, op: .set("3")) })
            #expect(outcome.changes.map(\.kind) == [.variable, .secret, .variable])
            #expect(try await fixture.revision() == 5)
        }
    }

    @Test("A patch is one transaction of consecutive revisions, or nothing")
    func patch() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("KEEP", "1")
            try await fixture.set("OLD", "1")
            let outcome = try await fixture.mutate([
                EntryChange(name: "NEW", op: .set("1")), EntryChange(name: "KEEP", op: .set("1")),
                EntryChange(name: "OLD", op: .delete), EntryChange(name: "TOKEN", op: .set("t"), kind: .secret),
            ])
            #expect(outcome.first == 3 && outcome.last == 5 && outcome.revision == 5)
            #expect(outcome.changes.map(\.name) == ["NEW", "OLD", "TOKEN"] && outcome.changes.map(\.revision) == [3, 4, 5])
            #expect(outcome.changes.allSatisfy { $0.first == 3 && $0.last == 5 })
            #expect(outcome.entries.map(\.name) == ["NEW", "KEEP", "TOKEN"])
            // The last of these four is refused, so none of them happens.
            let bad = [
                EntryChange(name: "X", op: .set("1")), EntryChange(name: "KEEP", op: .delete), EntryChange(name: "NEW", op: .set("9")),
                EntryChange(name: "TOKEN", op: .set("1"), kind: .variable),
            ]
            await expectRefusal(.conflict) { try await fixture.mutate(bad) }
            #expect(try await fixture.revision() == 5)
            let names = try await fixture.store.snapshot(environmentID: fixture.environmentID).entries.map(\.name)
            #expect(names == ["KEEP", "NEW", "TOKEN"])
        }
    }

    @Test("Preconditions hold under the lock, and tell the present version")
    func preconditions() async throws {
        try await StoreFixture.with { fixture in
            await expectRefusal(.preconditionFailed) { try await fixture.set("A", "1", if: .exists) }
            try await fixture.set("A", "1", if: .absent)
            let second = await failure { try await fixture.set("A", "2", if: .absent) }
            #expect(second?.code == .preconditionFailed && second?.current == 1)
            try await fixture.set("A", "2", if: .versionIn([7, 1]))
            await expectRefusal(.preconditionFailed) { try await fixture.set("A", "3", if: .versionIn([1])) }
            await expectRefusal(.preconditionFailed) { try await fixture.set("A", "2", if: .versionIn([])) }
            try await fixture.set("A", "3", kind: nil, if: .revisionIn([2]))
            let stale = await failure { try await fixture.set("A", "4", if: .revisionIn([2])) }
            #expect(stale?.code == .preconditionFailed && stale?.current == 3)
            // Deleted is absent.
            try await fixture.delete("A")
            try await fixture.set("A", "5", kind: .secret, if: .absent)
        }
    }

    @Test("Bad input is refused with its field, and stores nothing")
    func input() async throws {
        try await StoreFixture.with { fixture in
            let faults: [(EntryChange, String)] = [
                (EntryChange(name: "", op: .delete), "name"),
                (EntryChange(name: "1A", op: .set("")), "name"),
                (EntryChange(name: "A B", op: .set("")), "name"),
                (EntryChange(name: "Ä", op: .set("")), "name"),
                (EntryChange(name: String(repeating: "A", count: 256), op: .set("")), "name"),
                (EntryChange(name: "A", op: .set("a\0b")), "value"),
                (EntryChange(name: "A", op: .set(String(repeating: "x", count: 65_537))), "value"),
                (EntryChange(name: "A", op: .set(""), note: "\0"), "note"),
            ]
            for (change, field) in faults {
                let error = await failure { try await fixture.mutate([change]) }
                #expect(error?.code == .invalid && error?.field == field)
            }
            let twice = [EntryChange(name: "A", op: .set("1")), EntryChange(name: "A", op: .delete)]
            let repeated = await failure { try await fixture.mutate(twice) }
            #expect(repeated?.field == "changes/1/name")
            let nothing = try await fixture.mutate([])
            #expect(nothing.changes.isEmpty && nothing.revision == 0)
            let revision = try await fixture.revision()
            #expect(revision == 0)
            let elsewhere = Mutation(environmentID: UUID(), changes: [EntryChange(name: "A", op: .delete)], actor: "root")
            await expectRefusal(.notFound) { try await fixture.store.mutate(elsewhere) }
        }
    }

    @Test("An environment holds 10,000 entries and 8 MiB, and can be made smaller when it is full")
    func limits() async throws {
        try await StoreFixture.with { fixture in
            let most = (0..<10_000).map { EntryChange(name: "N\($0)", op: .set("v"), kind: $0 % 10 == 0 ? .secret : .variable) }
            let outcome = try await fixture.mutate(most)
            #expect(outcome.last == 10_000 && outcome.changes.count == 10_000 && outcome.changes.last?.name == "N9999")
            await expectRefusal(.environmentTooLarge) { try await fixture.set("ONE_MORE", "") }
            try await fixture.delete("N1")
            try await fixture.set("ONE_MORE", "")
            let large = (0..<127).map { EntryChange(name: "N\($0 + 2)", op: .set(String(repeating: "x", count: 65_536))) }
            _ = try await fixture.mutate(large)
            let last = EntryChange(name: "N200", op: .set(String(repeating: "x", count: 65_536)))
            await expectRefusal(.environmentTooLarge) { try await fixture.mutate([last]) }
            await expectRefusal(.environmentTooLarge) { try await fixture.mutate([last, EntryChange(name: "N201", op: .delete)]) }
            _ = try await fixture.mutate([last, EntryChange(name: "N2", op: .delete)])
            let real = """
                SELECT count(*) = max(v.entry_count), sum(e.size) = max(v.entry_bytes) FROM keyvane.entry e, keyvane.environment v
                WHERE e.value IS NOT NULL
                """
            #expect(try await fixture.database.sql(real) == ["t|t"])
        }
    }
}
