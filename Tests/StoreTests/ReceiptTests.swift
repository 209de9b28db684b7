// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

@Suite("Receipts")
struct ReceiptTests {
    private func key(_ name: String, _ request: String = "a request", token: String = "ab12cd34") -> IdempotencyKey {
        IdempotencyKey(token: token, key: name, request: [request], body: [])
    }

    @Test("The same request again gets the first answer, another one is refused, another token's is its own")
    func repeated() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let first = try await store.createWorkspace(slug: "one", actor: "root", key: key("k"))
            let again = try await store.createWorkspace(slug: "one", actor: "root", key: key("k"))
            #expect(again == first)
            // What has become of it meanwhile changes nothing about what was answered.
            _ = try await store.changeWorkspace("one", PlaceChange(name: "Later"), MutationOrigin(actor: "root"))
            let later = try await store.createWorkspace(slug: "one", actor: "root", key: key("k"))
            #expect(later == first)
            await expectRefusal(.idempotencyKeyReused) {
                try await store.createWorkspace(slug: "two", actor: "root", key: key("k", "another request"))
            }
            await expectRefusal(.conflict) { try await store.createWorkspace(slug: "one", actor: "root", key: key("k", token: "zz12cd34")) }
            let audit = try await fixture.database.sql(
                "SELECT count(*) FROM keyvane.audit WHERE target = 'one' AND action = 'workspace.create'"
            )
            #expect(audit == ["1"])
        }
    }

    @Test("A refusal leaves no receipt: what was refused may be sent again under its key")
    func refused() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            await expectRefusal(.notFound) { try await store.createProject(workspace: "later", slug: "p", actor: "root", key: key("k")) }
            await expectRefusal(.conflict) { try await store.createWorkspace(slug: "acme", actor: "root", key: key("l")) }
            _ = try await store.createWorkspace(slug: "later", actor: "root")
            let made = try await store.createProject(workspace: "later", slug: "p", actor: "root", key: key("k"))
            #expect(made.slug == "p")
            #expect(try await fixture.database.sql("SELECT count(*) FROM keyvane.receipt WHERE key = 'l'") == ["0"])
        }
    }

    @Test("A receipt is good for a day")
    func expired() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            _ = try await store.createWorkspace(slug: "one", actor: "root", key: key("k"))
            _ = try await fixture.database.sql("UPDATE keyvane.receipt SET created_at = now() - interval '25 hours'")
            let next = try await store.createWorkspace(slug: "two", actor: "root", key: key("k", "another request"))
            #expect(next.slug == "two")
            let again = try await store.createWorkspace(slug: "two", actor: "root", key: key("k", "another request"))
            #expect(again == next)
        }
    }

    @Test("Of many at once under one key one does the work and all get its answer")
    func race() async throws {
        try await StoreFixture.with(readers: 2) { fixture in
            let store = fixture.store
            for round in 0..<5 {
                let key = key("race \(round)")
                let ids = try await withThrowingTaskGroup(of: UUID.self) { group in
                    for _ in 0..<16 {
                        group.addTask { try await store.createWorkspace(slug: "race-\(round)", actor: "root", key: key).id }
                    }
                    return try await group.reduce(into: Set()) { $0.insert($1) }
                }
                #expect(ids.count == 1)
                let gone = try await withThrowingTaskGroup(of: [UUID].self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            let origin = MutationOrigin(actor: "root", key: self.key("end \(round)"))
                            return try await store.remove(.workspace("race-\(round)"), origin)
                        }
                    }
                    return try await group.reduce(into: 0) { count, _ in count += 1 }
                }
                #expect(gone == 8)
            }
            let audit = try await fixture.database.sql("SELECT count(*) FROM keyvane.audit WHERE target LIKE 'race-%'")
            #expect(audit == ["10"])
        }
    }

    @Test("A lost connection between commit and answer: each call is carried out once, with and without a key")
    func lostAnswers() async throws {
        try await withPostgresDatabase { database in
            try await withPostgresProxy(to: database) { proxy in
                try await StoreFixture.with(database, url: proxy.url) { fixture in
                    let store = fixture.store
                    proxy.loseEvery(5)
                    for number in 0..<12 {
                        let named = number.isMultiple(of: 2) ? key("k\(number)") : nil
                        let origin = MutationOrigin(actor: "root", key: named)
                        let made = try await store.createWorkspace(slug: "w\(number)", actor: "root")
                        let change = PlaceChange(name: "W \(number)")
                        // The condition would refuse a second sending that doesn't know of the first.
                        let strict = MutationOrigin(actor: "root", condition: [made.tag])
                        let changed = try await store.changeWorkspace("w\(number)", change, strict)
                        #expect(changed.version == 2)
                        _ = try await store.remove(.workspace("w\(number)"), origin)
                    }
                    proxy.loseEvery(nil)
                    let rows = try await database.sql(
                        "SELECT action, count(*) FROM keyvane.audit WHERE target LIKE 'w%' AND target <> 'web' GROUP BY action ORDER BY action"
                    )
                    #expect(rows == ["workspace.create|12", "workspace.delete|12", "workspace.update|12"])
                }
            }
        }
    }

    @Test("A token's text comes again, and is in no table")
    func tokenText() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            func make(_ key: IdempotencyKey?) async throws -> (record: TokenRecord, text: String) {
                try await store.createToken(description: "d", grants: [.root], expiresAt: nil, createdBy: "root", key: key)
            }
            let first = try await make(key("k"))
            let again = try await make(key("k"))
            #expect(again.text == first.text && again.record == first.record)
            #expect(try await store.authenticate(again.text)?.id == first.record.id)
            let dump = try await fixture.database.dump()
            #expect(!dump.contains(first.text) && !dump.contains(first.text.suffix(43)))
            // Sealed for this key of this caller: another row's text opens nothing.
            let other = try await make(key("l"))
            _ = try await fixture.database.sql(
                "UPDATE keyvane.receipt r SET record = o.record FROM keyvane.receipt o WHERE r.key = 'k' AND o.key = 'l'"
            )
            await expectRefusal(.sealedValueUnreadable) { try await make(key("k")) }
            let own = try await make(key("l"))
            #expect(own.text == other.text)
        }
    }
}
