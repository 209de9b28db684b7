// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor
import Store
import TestSupport
import Testing

@Suite("PostgreSQL fails over")
struct FailoverTests {
    /// A primary, its synchronous standby, and a store that knows both.
    private func withPair(
        requestTimeout: Duration,
        url: (_ primary: PostgresServer, _ standby: PostgresServer) -> String = { Self.url($0, $1) },
        _ body: (StoreFixture, _ url: String, _ primary: PostgresServer, _ standby: PostgresServer) async throws -> Void
    ) async throws {
        try await withPrivatePostgres { database in
            let standby = try await database.server.startStandby()
            let url = url(database.server, standby)
            try await StoreFixture.with(database, url: url, readers: 2, writers: 2, requestTimeout: requestTimeout) { fixture in
                try await body(fixture, url, database.server, standby)
            }
        }
    }

    private static func url(_ first: PostgresServer, _ second: PostgresServer) -> String {
        "postgresql://postgres@/keyvane_test?host=\(first.host),\(second.host)"
    }

    enum End: CaseIterable {
        /// The machine is gone.
        case killed
        /// It hangs with its connections open: nothing refuses, nothing answers.
        case hung
        /// An orderly switchover.
        case stopped
    }

    @Test("The primary ends in mid-write, the standby is promoted: every answered write is there, once", arguments: End.allCases)
    func failover(end: End) async throws {
        try await withPair(requestTimeout: end == .hung ? .seconds(4) : .seconds(20)) { fixture, url, primary, standby in
            // Two processes.
            try await StoreFixture.withStore(url: url, writers: 2, requestTimeout: .seconds(4)) { second in
                let written = Events<String>()
                let stores = [fixture.store, second]
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await fixture.write(on: stores, tasks: 8, count: 60, retries: true, written: written) }
                    group.addTask {
                        try await written.until { $0.count >= 150 }
                        switch end {
                        case .killed: try await primary.signal("KILL")
                        case .hung: try await primary.signal("STOP")
                        case .stopped: try await primary.stop(mode: "fast")
                        }
                        let before = written.all
                        try await standby.promote()
                        // From here on the old primary is out of reach, as a fence would see to.
                        let changes = "SELECT name FROM keyvane.change"
                        let there = Set(try await standby.sql(changes, database: "keyvane_test"))
                        #expect(there.isSuperset(of: before))
                    }
                    try await group.waitForAll()
                }
                try await fixture.expectAllOnce(480, on: standby)
                for store in stores {
                    try await store.ping()
                    #expect(store.isAvailable)
                }
            }
            // Its shell can't end what sleeps.
            if end == .hung { try await primary.signal("KILL") }
        }
    }

    @Test("Both forms of address find the primary, in whatever order they name it")
    func addresses() async throws {
        try await withPrivatePostgres { database in
            let (primary, standby) = (database.server, try await database.server.startStandby())
            for url in [
                Self.url(standby, primary) + "&target_session_attrs=read-write",
                Self.url(standby, primary) + "&target_session_attrs=primary",
                "host=\(standby.host),\(primary.host) user=postgres dbname=keyvane_test target_session_attrs=read-write",
                "host='\(standby.host),\(primary.host)' port=5432,5432 user=postgres dbname=keyvane_test",
            ] {
                try await StoreFixture.withStore(url: url) { store in
                    _ = try? await store.createWorkspace(slug: "acme", actor: "root")
                    _ = try await store.workspace("acme")
                }
            }
            for refused in ["standby", "prefer-standby", "read-only"] {
                try await LoopGroup.withLoops(count: 1) { loops in
                    let url = Self.url(standby, primary) + "&target_session_attrs=\(refused)"
                    let error = await failure { try StoreFixture.make(url: url, loops: loops) }
                    #expect(error?.code == .configurationInvalid && error?.field == "postgres")
                }
            }
        }
    }

    @Test("A server that takes no writes any more is left, and not besieged", arguments: ["", "&target_session_attrs=any"])
    func readOnly(attributes: String) async throws {
        try await withPrivatePostgres { database in
            try await StoreFixture.with(database, url: database.url + attributes, requestTimeout: .seconds(3)) { fixture in
                func makeReadOnly(_ flag: String) async throws {
                    try await database.sql("ALTER SYSTEM SET default_transaction_read_only = \(flag)")
                    try await database.sql("SELECT pg_reload_conf()")
                }
                func sessions() async throws -> Int {
                    let count = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
                    return Int(try await database.sql(count).first ?? "") ?? 0
                }
                try await fixture.set("A", "1")
                try await makeReadOnly("on")
                let before = try await sessions()
                let start = ContinuousClock.now
                await expectRefusal(.unavailable) { try await fixture.set("A", "2") }
                await expectRefusal(.unavailable) { try await fixture.store.createWorkspace(slug: "x", actor: "root") }
                #expect(start.duration(to: .now) < .seconds(60))
                #expect(try await sessions() - before < 100)
                // Reads of a store that wants the primary follow it too: what a demoted server has grows old.
                if attributes.isEmpty {
                    _ = try await eventually("the readers leaving") {
                        await failure { try await fixture.store.ping() }?.code == .unavailable ? true : nil
                    }
                }
                try await makeReadOnly("off")
                _ = try await eventually("a write") { await failure { try await fixture.set("A", "3") } == nil ? true : nil }
                #expect(try await fixture.allChanges().filter { $0.name == "A" }.count <= 3)
            }
        }
    }

    @Test("A server that hangs costs each call its limit; its connections are replaced, and all is well when it wakes")
    func hung() async throws {
        try await withPrivatePostgres { database in
            try await StoreFixture.with(database, requestTimeout: .seconds(3)) { fixture in
                try await fixture.set("A", "1")
                try await database.server.signal("STOP")
                let start = ContinuousClock.now
                async let read = failure { try await fixture.store.snapshot(environmentID: fixture.environmentID) }
                async let control = failure { try await fixture.store.createWorkspace(slug: "x", actor: "root") }
                async let health = failure { try await fixture.store.ping() }
                let mutation = Mutation(
                    environmentID: fixture.environmentID,
                    changes: [EntryChange(name: "B", op: .set("1"), kind: .variable)],
                    actor: "root"
                )
                async let write = failure { try await fixture.store.mutate(mutation) }
                let codes = await [read, control, health, write].map { $0?.code }
                #expect(codes == Array(repeating: .unavailable, count: 4))
                #expect(start.duration(to: .now) < .seconds(30))
                _ = try await eventually("the connections being given up") { fixture.store.isAvailable ? nil : true }
                try await database.server.signal("CONT")
                _ = try await eventually("the connections being replaced") { fixture.store.isAvailable ? true : nil }
                // The old backend may yet carry out what it had received: asked for again, it is there once.
                #expect(try await fixture.store.mutate(mutation).revision == 2)
                #expect(try await fixture.allChanges().map(\.name) == ["A", "B"])
            }
        }
    }
}
