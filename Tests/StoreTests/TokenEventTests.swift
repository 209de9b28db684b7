// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

/// The log that tells gateways which tokens were revoked or changed.
@Suite("The log of tokens")
struct TokenEventTests {
    private static let root = MutationOrigin(actor: "root")

    private static func token(_ store: ConfigurationStore) async throws -> TokenRecord {
        let grant = Grant(workspace: "acme", permissions: [.read])
        return try await store.createToken(description: "t", grants: [grant], expiresAt: nil, createdBy: "root").record
    }

    private static func end(_ store: ConfigurationStore) async throws -> TokenLogPlace {
        try await store.tokenEvents(after: nil, limit: 10).place
    }

    /// Everything after a place, page by page.
    private static func events(
        after place: TokenLogPlace,
        in store: ConfigurationStore,
        limit: Int = 1_000
    ) async throws -> (events: [TokenEvent], place: TokenLogPlace) {
        var (events, place) = ([TokenEvent](), place)
        while true {
            let page = try await store.tokenEvents(after: place, limit: limit)
            try #require(page.isWhole)
            #expect(page.events.count <= limit)
            events += page.events
            place = page.place
            if !page.hasMore { return (events, place) }
        }
    }

    @Test("has revocations and changes of what a token may do, and nothing else")
    func kinds() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let start = try await Self.end(store)
            #expect(start.sequence == 0)
            let record = try await Self.token(store)
            // The log has no opinion on descriptions and on use.
            var changed = try #require(try await store.changeToken(record, TokenChange(description: "other"), Self.root))
            try await fixture.database.sql("UPDATE keyvane.token SET last_used_at = now()")
            #expect(try await Self.end(store) == start)
            #expect(changed.event == 0)

            let wider = [Grant(workspace: "acme", permissions: [.read, .write])]
            changed = try #require(try await store.changeToken(changed, TokenChange(grants: wider), Self.root))
            #expect(changed.event == 1)
            let later = Date(timeIntervalSince1970: 4_000_000_000)
            changed = try #require(try await store.changeToken(changed, TokenChange(expiry: .at(later)), Self.root))
            #expect(changed.event == 2)
            // Nothing new.
            changed = try #require(try await store.changeToken(changed, TokenChange(grants: wider), Self.root))
            #expect(changed.event == 2)
            #expect(try await store.token(record.id)?.event == 2)
            let other = try await Self.token(store)
            #expect(try await store.revokeToken(other.id, Self.root) == 3)
            try await fixture.database.sql("DELETE FROM keyvane.token WHERE id = '\(other.id)'")

            let (events, place) = try await Self.events(after: start, in: store)
            #expect(events.map(\.sequence) == [1, 2, 3, 4])
            #expect(events.map(\.tokenID) == [record.id, record.id, other.id, other.id])
            // As the tokens are now.
            #expect(events.map(\.token?.grants) == [wider, wider, nil, nil])
            #expect(events.map(\.token?.expiresAt) == [later, later, nil, nil])
            #expect(try await Self.events(after: place, in: store).events.isEmpty)
            let kinds = try await fixture.database.sql("SELECT kind FROM keyvane.token_event ORDER BY sequence")
            #expect(kinds == ["origin", "changed", "changed", "revoked", "revoked"])
        }
    }

    @Test("A refused or repeated change writes no event, and a repeated one is told the number of the first")
    func refusedAndRepeated() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let record = try await Self.token(store)
            let stale = MutationOrigin(actor: "root", condition: ["7"])
            await expectRefusal(.preconditionFailed) { try await store.revokeToken(record.id, stale) }
            await expectRefusal(.notFound) { try await store.revokeToken("zzzzzzzz", Self.root) }
            #expect(try await Self.end(store).sequence == 0)
            let key = IdempotencyKey(token: "root", key: "k", request: [], body: [])
            let once = MutationOrigin(actor: "root", key: key)
            for _ in 0..<2 { #expect(try await store.revokeToken(record.id, once) == 1) }
            #expect(try await Self.end(store).sequence == 1)
        }
    }

    @Test("Who follows the log while many revoke and change meets every number once, in order, and ends where the tokens are")
    func concurrent() async throws {
        try await StoreFixture.with(readers: 2) { fixture in
            let store = fixture.store
            let start = try await Self.end(store)
            var tokens: [TokenRecord] = []
            for _ in 0..<40 { tokens.append(try await Self.token(store)) }
            let all = tokens
            let (seen, numbers) = try await StoreFixture.withStore(url: fixture.database.url) { second in
                try await withThrowingTaskGroup(of: [Int64].self) { group in
                    // Through two stores, so two connections, and a third one by hand.
                    for (index, token) in all.enumerated() {
                        let store = index.isMultiple(of: 2) ? store : second
                        group.addTask {
                            let grants = [Grant(workspace: "acme", permissions: [.read, .write])]
                            let wider = try #require(try await store.changeToken(token, TokenChange(grants: grants), Self.root))
                            let revoked = try await store.revokeToken(token.id, Self.root)
                            return [wider.event, try #require(revoked)]
                        }
                    }
                    var (seen, place) = ([TokenEvent](), start)
                    // What is read at any moment goes on from the last page, whatever commits meanwhile.
                    let deadline = ContinuousClock.now + .seconds(60)
                    while seen.count < 80, ContinuousClock.now < deadline {
                        let more = try await Self.events(after: place, in: store, limit: 7)
                        seen += more.events
                        place = more.place
                    }
                    let numbers = try await group.reduce(into: [Int64]()) { $0 += $1 }
                    return (seen, numbers)
                }
            }
            #expect(seen.map(\.sequence) == Array(1...80))
            #expect(numbers.sorted() == Array(1...80))
            for token in all {
                let own = seen.filter { $0.tokenID == token.id }
                #expect(own.count == 2 && own.last?.token == nil)
            }
        }
    }

    /// The later number could only be taken by who waited for the earlier one's end.
    @Test("A revocation that commits late has the later number; one that is rolled back has none", arguments: [true, false])
    func order(commits: Bool) async throws {
        try await StoreFixture.with(readers: 2) { fixture in
            let store = fixture.store
            let (first, second) = (try await Self.token(store), try await Self.token(store))
            let start = try await Self.end(store)
            let database = fixture.database
            try await withThrowingTaskGroup(of: Int64?.self) { group in
                // Takes its number, and stays open until the other one waits for it.
                group.addTask {
                    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = '\(database.name)' AND wait_event_type = 'Lock'"
                    try await database.sql(
                        """
                        BEGIN;
                        UPDATE keyvane.token SET revoked_at = now() WHERE id = '\(first.id)';
                        DO $$ BEGIN
                            FOR i IN 1..3000 LOOP
                                PERFORM pg_stat_clear_snapshot();
                                EXIT WHEN (\(waiting)) > 0;
                                PERFORM pg_sleep(0.01);
                            END LOOP;
                        END $$;
                        \(commits ? "COMMIT" : "ROLLBACK");
                        """
                    )
                    return nil
                }
                let locked =
                    "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'token_log' AND l.mode LIKE 'Row%'"
                _ = try await eventually("the first one's lock") { try await database.sql(locked) != ["0"] ? true : nil }
                // Whoever reads now sees nothing: the first one waits for the second.
                #expect(try await store.tokenEvents(after: start, limit: 10).events.isEmpty)
                group.addTask { try await store.revokeToken(second.id, Self.root) }
                var number: Int64?
                while let answer = try await group.next() { number = answer ?? number }
                #expect(number == (commits ? 2 : 1))
            }
            let events = try await Self.events(after: start, in: store).events
            #expect(events.map(\.tokenID) == (commits ? [first.id, second.id] : [second.id]))
            #expect(events.map(\.sequence) == (commits ? [1, 2] : [1]))
        }
    }

    @Test("Trimming takes the oldest and leaves the newest; who is further back is told so")
    func trimming() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let start = try await Self.end(store)
            var places = [start]
            for _ in 0..<5 {
                try await store.revokeToken(try await Self.token(store).id, Self.root)
                places.append(try await Self.end(store))
            }
            let policy = RetentionPolicy(changes: nil, audit: nil)
            #expect(await store.trim(policy).failure == nil)
            #expect(try await store.tokenEvents(after: start, limit: 10).events.count == 5)

            // A younger row between old ones: nothing behind a gap is left.
            try await fixture.database.sql("UPDATE keyvane.token_event SET at = now() - interval '25 hours' WHERE sequence IN (0, 1, 3)")
            #expect(await store.trim(policy).failure == nil)
            #expect(try await fixture.database.sql("SELECT sequence FROM keyvane.token_event ORDER BY sequence") == ["4", "5"])
            for place in places.prefix(4) {
                let page = try await store.tokenEvents(after: place, limit: 10)
                #expect(!page.isWhole && page.events.isEmpty && page.place == places[5])
            }
            #expect(try await store.tokenEvents(after: places[4], limit: 10).events.map(\.sequence) == [5])

            try await fixture.database.sql("UPDATE keyvane.token_event SET at = now() - interval '25 hours'")
            #expect(await store.trim(policy).failure == nil)
            #expect(try await fixture.database.sql("SELECT sequence FROM keyvane.token_event") == ["5"])
            let page = try await store.tokenEvents(after: places[5], limit: 10)
            #expect(page.isWhole && page.events.isEmpty)
        }
    }

    @Test("A restored database is another history, also where its numbers are as far again")
    func restored() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let place = { () async throws -> TokenLogPlace in
                try await store.revokeToken(try await Self.token(store).id, Self.root)
                return try await Self.end(store)
            }
            _ = try await place()
            let second = try await place()
            // As of the first revocation.
            try await fixture.database.sql(
                "DELETE FROM keyvane.token_event WHERE sequence > 1; UPDATE keyvane.token_log SET last = 1"
            )
            let back = try await store.tokenEvents(after: second, limit: 10)
            #expect(!back.isWhole && back.place.sequence == 1)
            let again = try await place()
            #expect(again.sequence == second.sequence)
            #expect(again.mark != second.mark)
            #expect(try await store.tokenEvents(after: second, limit: 10).isWhole == false)
            #expect(try await store.tokenEvents(after: back.place, limit: 10).events.map(\.sequence) == [2])
        }
    }

    @Test("What an older binary does to a token is in the log as well")
    func olderBinary() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let record = try await Self.token(store)
            let start = try await Self.end(store)
            try await fixture.database.sql("UPDATE keyvane.token SET revoked_at = now() WHERE id = '\(record.id)'")
            let events = try await Self.events(after: start, in: store).events
            #expect(events == [TokenEvent(sequence: 1, tokenID: record.id, token: nil)])
        }
    }
}
