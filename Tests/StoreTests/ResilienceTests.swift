// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor
import Store
import TestSupport
import Testing

@Suite("PostgreSQL goes and comes back")
struct ResilienceTests {
    @Test("Backends killed in mid-flight lose nothing and double nothing")
    func terminated() async throws {
        try await StoreFixture.with(readers: 2, writers: 2) { fixture in
            let written = Events<String>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await fixture.write(tasks: 8, count: 60, written: written) }
                group.addTask {
                    // Each time some have got through, or on a slow machine none ever would.
                    for round in 0..<40 {
                        try await written.until { $0.count >= round * 11 }
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
            try await fixture.expectAllOnce(480)
        }
    }

    @Test("An answer that was lost on its way is looked up, not done again")
    func lostAnswers() async throws {
        try await withPostgresDatabase { database in
            try await withPostgresProxy(to: database) { proxy in
                try await StoreFixture.with(database, url: proxy.url, readers: 2, writers: 2) { fixture in
                    proxy.loseEvery(9)
                    try await fixture.write(tasks: 8, count: 60, written: Events())
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
                    try await fixture.expectAllOnce(480)
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
                    group.addTask { try await fixture.write(tasks: 8, count: 60, written: written) }
                    group.addTask {
                        for round in 1...2 {
                            try await written.until { $0.count >= round * 150 }
                            try await database.server.stop(mode: mode)
                            try await database.server.startAgain()
                        }
                    }
                    try await group.waitForAll()
                }
                try await fixture.expectAllOnce(480)
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
}
