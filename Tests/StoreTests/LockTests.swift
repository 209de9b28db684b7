// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Foundation
import Reactor
import Store
import TestSupport
import Testing

@Suite("Locks, deadlocks and queues")
struct LockTests {
    private func change(_ name: String) -> EntryChange { EntryChange(name: name, op: .set("1"), kind: .variable) }

    /// Holds a lock from outside until `body` returns.
    private func whileLocked<Value>(
        _ fixture: StoreFixture,
        _ lock: String,
        _ body: () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // Ended by `body`; by itself if that fails.
                _ = try? await fixture.database.sql("BEGIN; \(lock); SELECT pg_sleep(120); COMMIT")
            }
            let holder = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
            _ = try await eventually("the lock") { try await fixture.database.sql("SELECT 1 \(holder)").isEmpty ? nil : true }
            let value: Result<Value, any Error>
            do { value = .success(try await body()) } catch { value = .failure(error) }
            try await fixture.database.sql("SELECT pg_terminate_backend(pid) \(holder)")
            return try value.get()
        }
    }

    @Test("A row locked by somebody else costs its waiters the limit, and nobody else anything")
    func locked() async throws {
        try await StoreFixture.with(requestTimeout: .seconds(5)) { fixture in
            let blocked = try await fixture.store.createEnvironment(workspace: "acme", project: "web", slug: "other", actor: "root")
            let mutation = Mutation(environmentID: blocked.id, changes: [change("A")], actor: "root")
            let lock = "SELECT 1 FROM keyvane.environment WHERE slug = 'other' FOR UPDATE; SELECT 1 FROM keyvane.project FOR UPDATE"
            try await whileLocked(fixture, lock) {
                async let waiter = failure { try await fixture.store.mutate(mutation) }
                async let creator = failure {
                    try await fixture.store.createEnvironment(workspace: "acme", project: "web", slug: "third", actor: "root")
                }
                // The same writer's connection, and so the same batches.
                for index in 0..<3 { try await fixture.set("N\(index)", "1") }
                let codes = await [waiter, creator].map { $0?.code }
                #expect(codes == [.unavailable, .unavailable])
                // The last attempts may be under way still; nobody makes new ones.
                let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                _ = try await eventually("the last attempts") { try await fixture.database.sql(waiting).isEmpty ? true : nil }
            }
            // Nothing half done, and nothing done later.
            #expect(try await fixture.store.environment(id: blocked.id).revision == 0)
            #expect(try await fixture.store.changes(environmentID: blocked.id, since: 0, limit: 10).changes.isEmpty)
            #expect(try await fixture.store.mutate(mutation).revision == 1)
            #expect(try await fixture.revision() == 3)
        }
    }

    @Test("Serialization failures and deadlocks are retried inside", arguments: ["40001", "40P01"])
    func transient(sqlState: String) async throws {
        try await StoreFixture.with { fixture in
            // A sequence is not rolled back: the first three inserts fail, whoever makes them.
            try await fixture.database.sql(
                """
                CREATE SEQUENCE attempts;
                CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
                    BEGIN IF nextval('attempts') <= 3 THEN RAISE SQLSTATE '\(sqlState)'; END IF; RETURN NEW; END $$;
                CREATE TRIGGER fail BEFORE INSERT ON keyvane.audit FOR EACH ROW EXECUTE FUNCTION fail();
                """
            )
            try await fixture.set("A", "1")
            try await fixture.database.sql("ALTER SEQUENCE attempts RESTART")
            _ = try await fixture.store.createWorkspace(slug: "second", actor: "root")
            #expect(try await fixture.store.workspace("second").slug == "second")
            #expect(try await fixture.allChanges().map(\.revision) == [1])
            #expect(try await fixture.database.sql("SELECT last_value FROM attempts") == ["4"])
        }
    }

    @Test("Cut off while the first sending still runs: found, not done again and not refused")
    func overtaken() async throws {
        try await withPostgresDatabase { database in
            try await withPostgresProxy(to: database) { proxy in
                try await StoreFixture.with(database, url: proxy.url) { fixture in
                    let blocked = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                    let mutation = Mutation(environmentID: fixture.environmentID, changes: [change("A")], actor: "root")
                    // Holds every write up at its last step, with everything else of its transaction done.
                    try await database.sql(
                        """
                        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
                            $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END $$;
                        CREATE TRIGGER hold BEFORE INSERT ON keyvane.audit FOR EACH ROW EXECUTE FUNCTION hold();
                        """
                    )
                    let results = try await withThrowingTaskGroup(of: StoreError?.self) { group in
                        try await whileLocked(fixture, "SELECT pg_advisory_xact_lock(42)") {
                            group.addTask { await failure { try await fixture.store.mutate(mutation) } }
                            group.addTask { await failure { try await fixture.store.createWorkspace(slug: "w", actor: "root") } }
                            group.addTask {
                                await failure { try await fixture.store.createProject(workspace: "acme", slug: "p", actor: "root") }
                            }
                            _ = try await eventually("two waiting") {
                                try await database.sql("SELECT 1 \(blocked)").count >= 2 ? true : nil
                            }
                            try await proxy.cut()
                            // Theirs, and the same once more.
                            _ = try await eventually("four waiting") {
                                try await database.sql("SELECT 1 \(blocked)").count >= 4 ? true : nil
                            }
                        }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    #expect(results == [nil, nil, nil])
                    #expect(try await fixture.allChanges().map(\.revision) == [1])
                    #expect(try await database.sql("SELECT count(*) FROM keyvane.audit WHERE first IS NOT NULL") == ["1"])
                }
            }
        }
    }

    @Test("What waits is bounded, and counted")
    func overloaded() async throws {
        try await withPostgres { url in
            try await LoopGroup.withLoops(count: 1) { loops in
                // Never run, so nothing leaves its queues.
                var configuration = StoreConfiguration(url: url)
                configuration.readers = 1
                configuration.waitingCalls = 4
                configuration.requestTimeout = .milliseconds(500)
                let metrics = CountedMetrics()
                let store = try ConfigurationStore(
                    configuration: configuration,
                    keyRing: KeyRing(parsing: StoreFixture.keys),
                    loops: loops,
                    metrics: StoreMetrics(factory: metrics),
                    logger: StoreFixture.silent
                )
                // The second round finds the room that the first one left.
                for round in 1...2 {
                    let messages = await withTaskGroup(of: String.self) { group in
                        for _ in 0..<20 {
                            group.addTask { await failure { try await store.snapshot(environmentID: UUID()) }?.message ?? "" }
                        }
                        return await group.reduce(into: []) { $0.append($1) }
                    }
                    #expect(messages.filter { $0.contains("too much") }.count == 16)
                    #expect(messages.filter { $0.contains("can't be reached") }.count == 4)
                    #expect(metrics.value("store_pool_refused_total full") == 16 * Double(round))
                    #expect(metrics.value("store_pool_refused_total timeout") == 4 * Double(round))
                }
            }
        }
    }
}
