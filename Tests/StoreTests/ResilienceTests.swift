// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor
import Store
import TestSupport
import Testing

@Suite("PostgreSQL goes and comes back")
struct ResilienceTests {
    /// Writes `count` names once each, from `tasks` tasks; every answer must be a success.
    private func write(_ fixture: StoreFixture, tasks: Int, count: Int, written: Events<String>) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<tasks {
                group.addTask {
                    for index in 0..<count {
                        let name = "T\(task)_\(index)"
                        let outcome = try await fixture.set(name, "\(index)", kind: index % 5 == 0 ? .secret : .variable)
                        // A doubled mutation would come back as a no-op, or with a second version.
                        #expect(outcome.changes.count == 1 && outcome.changes.first?.version == 1 && outcome.created)
                        written.emit(name)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func expectAllOnce(_ fixture: StoreFixture, _ count: Int) async throws {
        let changes = try await fixture.allChanges()
        #expect(changes.count == count && changes.map(\.revision) == Array(1...Int64(count)))
        #expect(Set(changes.map(\.name)).count == count)
        let audits = try await fixture.database.sql("SELECT count(*) FROM keyvane.audit WHERE first IS NOT NULL")
        #expect(audits == ["\(count)"])
    }

    @Test("Backends killed in mid-flight lose nothing and double nothing")
    func terminated() async throws {
        try await StoreFixture.with(readers: 2, writers: 2) { fixture in
            let written = Events<String>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await write(fixture, tasks: 8, count: 60, written: written) }
                group.addTask {
                    while written.all.count < 440 {
                        try await fixture.database.sql(
                            """
                            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                            WHERE application_name = 'keyvane' AND datname = current_database()
                            """
                        )
                    }
                }
                try await group.waitForAll()
            }
            try await expectAllOnce(fixture, 480)
        }
    }

    @Test("An answer that was lost on its way is looked up, not done again")
    func lostAnswers() async throws {
        try await withPostgresDatabase { database in
            try await withPostgresProxy(to: database) { proxy in
                try await StoreFixture.with(database, url: proxy.url, readers: 2, writers: 2) { fixture in
                    proxy.loseEvery(9)
                    try await write(fixture, tasks: 8, count: 60, written: Events())
                    // Creations and tokens too: sent again, they find their own rows.
                    for index in 0..<30 {
                        _ = try await fixture.store.createWorkspace(slug: "w\(index)", actor: "root")
                        _ = try await fixture.store.createProject(workspace: "acme", slug: "p\(index)", actor: "root")
                        _ = try await fixture.store.createEnvironment(workspace: "acme", project: "web", slug: "e\(index)", actor: "root")
                        let made = try await fixture.store.createToken(description: "", grants: [], expiresAt: nil, createdBy: "root")
                        #expect(try await fixture.store.authenticate(made.text)?.id == made.record.id)
                        #expect(try await fixture.store.revokeToken(made.record.id, by: "root"))
                    }
                    #expect(proxy.lost > 20)
                    proxy.loseEvery(nil)
                    try await expectAllOnce(fixture, 480)
                }
            }
        }
    }

    @Test("A restart of PostgreSQL, in order or by a crash, is survived without one of ours", arguments: ["fast", "immediate"])
    func restarted(mode: String) async throws {
        try await withPrivatePostgres { database in
            try await StoreFixture.with(database, readers: 2, writers: 2) { fixture in
                let written = Events<String>()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await write(fixture, tasks: 8, count: 60, written: written) }
                    group.addTask {
                        for round in 1...2 {
                            try await written.until { $0.count >= round * 150 }
                            try await database.server.stop(mode: mode)
                            try await database.server.startAgain()
                        }
                    }
                    try await group.waitForAll()
                }
                try await expectAllOnce(fixture, 480)
            }
        }
    }

    @Test("Away: calls wait to their limit, then are unavailable; back: they work again")
    func away() async throws {
        try await withPrivatePostgres { database in
            try await StoreFixture.with(database, requestTimeout: .seconds(3)) { fixture in
                try await fixture.set("A", "1")
                try await database.server.stop()
                let start = ContinuousClock.now
                await expectRefusal(.unavailable) { try await fixture.set("A", "2") }
                await expectRefusal(.unavailable) { try await fixture.store.snapshot(environmentID: fixture.environmentID) }
                await expectRefusal(.unavailable) { try await fixture.store.createWorkspace(slug: "x", actor: "root") }
                await expectRefusal(.unavailable) { try await fixture.store.ping() }
                let waited = start.duration(to: .now)
                #expect(waited > .seconds(6) && waited < .seconds(60))
                #expect(!fixture.store.isAvailable)
                try await database.server.startAgain()
                let back = try await eventually("the store being available") { fixture.store.isAvailable ? true : nil }
                #expect(back)
                try await fixture.store.ping()
                // What was given up unsent was not sent later.
                #expect(try await fixture.revision() == 1)
                try await fixture.set("A", "3")
            }
        }
    }

    @Test("A row locked by somebody else costs its waiter the limit, not its connection")
    func locked() async throws {
        try await StoreFixture.with(requestTimeout: .seconds(3)) { fixture in
            let blocked = try await fixture.store.createEnvironment(workspace: "acme", project: "web", slug: "other", actor: "root")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    let lock = "BEGIN; SELECT 1 FROM keyvane.environment WHERE slug = 'other' FOR UPDATE; SELECT pg_sleep(8); COMMIT"
                    try await fixture.database.sql(lock)
                }
                _ = try await eventually("the lock") {
                    let locks = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
                    return try await fixture.database.sql(locks).isEmpty ? nil : true
                }
                let change = EntryChange(name: "A", op: .set("1"), kind: .variable)
                let mutation = Mutation(environmentID: blocked.id, changes: [change], actor: "root")
                await expectRefusal(.unavailable) { try await fixture.store.mutate(mutation) }
                try await group.waitForAll()
            }
            _ = try await eventually("a write") { () async throws -> Bool? in
                let change = EntryChange(name: "B", op: .set("1"), kind: .variable)
                let again = Mutation(environmentID: blocked.id, changes: [change], actor: "root")
                return await failure { try await fixture.store.mutate(again) } == nil ? true : nil
            }
        }
    }

    @Test("What waits is bounded")
    func overloaded() async throws {
        try await withPostgres { url in
            try await LoopGroup.withLoops(count: 1) { loops in
                // Never run, so nothing leaves its queues.
                var configuration = StoreConfiguration(url: url)
                configuration.readers = 1
                configuration.waitingCalls = 4
                configuration.requestTimeout = .milliseconds(500)
                let store = try ConfigurationStore(
                    configuration: configuration,
                    keyRing: KeyRing(parsing: StoreFixture.keys),
                    loops: loops,
                    logger: StoreFixture.silent
                )
                let messages = await withTaskGroup(of: String.self) { group in
                    for _ in 0..<20 {
                        group.addTask { await failure { try await store.snapshot(environmentID: UUID()) }?.message ?? "" }
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                #expect(messages.filter { $0.contains("too much") }.count == 16)
                #expect(messages.filter { $0.contains("can't be reached") }.count == 4)
            }
        }
    }
}
