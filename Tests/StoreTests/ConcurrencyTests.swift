// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

@Suite("Concurrent mutations")
struct ConcurrencyTests {
    @Test("32 writers in two processes leave one gap-free history, whose end is the snapshot", arguments: [EntryKind.variable, .secret])
    func gapFree(kind: EntryKind) async throws {
        try await StoreFixture.with(readers: 2, writers: 2) { fixture in
            try await StoreFixture.withStore(url: fixture.database.url, writers: 2) { second in
                let writers = 32
                let rounds = 25
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for writer in 0..<writers {
                        let store = writer % 2 == 0 ? fixture.store : second
                        let id = fixture.environmentID
                        group.addTask {
                            for round in 0..<rounds {
                                // Half of them hit the same name.
                                let name = writer % 4 < 2 ? "SHARED" : "W\(writer)"
                                let change = EntryChange(name: name, op: .set("\(writer).\(round)"), kind: kind)
                                let outcome = try await store.mutate(Mutation(environmentID: id, changes: [change], actor: "root"))
                                #expect(outcome.changes.count == 1)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                let changes = try await fixture.allChanges()
                #expect(changes.map(\.revision) == Array(1...Int64(writers * rounds)))
                #expect(try await fixture.revision() == Int64(writers * rounds))
                for (_, own) in Dictionary(grouping: changes, by: \.name) {
                    #expect(own.map(\.version) == Array(1...Int64(own.count)))
                }
                let times = changes.map(\.at)
                #expect(times == times.sorted())
                let snapshot = try await fixture.store.snapshot(environmentID: fixture.environmentID)
                let latest = Dictionary(changes.map { ($0.name, $0) }) { $1 }
                #expect(snapshot.entries.map(\.name) == latest.keys.sorted())
                for entry in snapshot.entries {
                    #expect(entry.value == latest[entry.name]?.value && entry.version == latest[entry.name]?.version)
                }
            }
        }
    }

    @Test("Two writers with the same If-Match never both win")
    func ifMatch() async throws {
        try await StoreFixture.with(writers: 2) { fixture in
            try await fixture.set("A", "0")
            for round in 1...40 {
                let version = Int64(round)
                let wins = await withTaskGroup(of: Bool.self) { group in
                    for racer in 0..<4 {
                        group.addTask {
                            await failure { try await fixture.set("A", "\(round).\(racer)", if: .versionIn([version])) } == nil
                        }
                    }
                    return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                #expect(wins == 1)
            }
            #expect(try await fixture.revision() == 41)
        }
    }

    @Test("A snapshot is the state at its revision while writers go on")
    func snapshots() async throws {
        try await StoreFixture.with(readers: 2) { fixture in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<4 {
                    group.addTask {
                        for round in 0..<100 {
                            // Two names that always change together.
                            let value = "\(writer).\(round)"
                            _ = try await fixture.mutate(["LEFT", "RIGHT"].map { EntryChange(name: $0, op: .set(value), kind: .variable) })
                        }
                    }
                }
                group.addTask {
                    var latest: Int64 = 0
                    while latest < 800 {
                        let snapshot = try await fixture.store.snapshot(environmentID: fixture.environmentID)
                        #expect(snapshot.revision >= latest && snapshot.revision % 2 == 0)
                        #expect(Set(snapshot.entries.map(\.value)).count <= 1)
                        if snapshot.revision > 0 { #expect(snapshot.entries.map(\.revision).max() == snapshot.revision) }
                        latest = snapshot.revision
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("A member that raises is refused alone; the rest of its batch is committed")
    func raising() async throws {
        try await StoreFixture.with { fixture in
            // Stands for any fault inside PostgreSQL: a disk, a limit, a broken row.
            try await fixture.database.sql(
                """
                CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN IF NEW.name = 'POISON' THEN RAISE EXCEPTION 'secret detail %', NEW.value; END IF; RETURN NEW; END $$;
                CREATE TRIGGER poison BEFORE INSERT ON keyvane.entry FOR EACH ROW EXECUTE FUNCTION poison();
                """
            )
            let results = await withTaskGroup(of: (Int, StoreError?).self) { group in
                for index in 0..<40 {
                    group.addTask {
                        do throws(StoreError) {
                            try await fixture.set(index % 10 == 3 ? "POISON" : "N\(index)", "plain text of \(index)")
                            return (index, nil)
                        } catch {
                            return (index, error)
                        }
                    }
                }
                return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            for index in 0..<40 {
                #expect(results[index]?.code == (index % 10 == 3 ? .internalError : nil))
                #expect(results[index].map { !"\($0)".contains("detail") && !"\($0)".contains("plain text") } ?? true)
            }
            #expect(try await fixture.revision() == 36)
            #expect(try await fixture.allChanges().map(\.revision) == Array(1...36))
        }
    }

    @Test("Environments are independent of each other")
    func environments() async throws {
        try await StoreFixture.with(writers: 2) { fixture in
            var ids = [fixture.environmentID]
            for index in 0..<7 {
                let made = try await fixture.store.createEnvironment(workspace: "acme", project: "web", slug: "e\(index)", actor: "root")
                ids.append(made.id)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for round in 0..<160 {
                    let id = ids[round % ids.count]
                    group.addTask {
                        let change = EntryChange(name: "N\(round)", op: .set("x"), kind: .variable)
                        _ = try await fixture.store.mutate(Mutation(environmentID: id, changes: [change], actor: "root"))
                    }
                }
                try await group.waitForAll()
            }
            for page in try await fixture.store.changes(since: ids.map { HeadProbe(id: $0, revision: 0) }, limit: 1000) {
                #expect(page.changes.map(\.revision) == Array(1...20))
            }
        }
    }
}
