// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor
import Store
import TestSupport
import Testing

@Suite("Schema")
struct SchemaTests {
    @Test("Migrations run from many instances at once, each step once")
    func concurrent() async throws {
        try await withPostgresDatabase { database in
            try await LoopGroup.withLoops(count: 2) { loops in
                let before = try StoreFixture.make(url: database.url, loops: loops)
                await expectRefusal(.schemaMissing) { try await before.run() }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<8 {
                        let store = try StoreFixture.make(url: database.url, loops: loops)
                        group.addTask { for _ in 0..<2 { try await store.migrate() } }
                    }
                    try await group.waitForAll()
                }
                let steps = try await database.sql("SELECT version FROM keyvane.schema_version ORDER BY version")
                #expect(steps == (1...Migrations.latest).map(String.init))
            }
        }
    }

    @Test("What was stored under an older schema is there under the newer one")
    func older() async throws {
        try await withPostgresDatabase { database in
            let (workspace, project, environment) = (UUID().lowercased, UUID().lowercased, UUID().lowercased)
            try await database.sql(
                """
                CREATE SCHEMA keyvane;
                CREATE TABLE keyvane.schema_version (version integer PRIMARY KEY, applied_at timestamptz NOT NULL);
                INSERT INTO keyvane.schema_version VALUES (1, now()), (2, now());
                \(Migrations.all[0])
                INSERT INTO keyvane.workspace VALUES ('\(workspace)', 'acme', 'Acme', '', now(), now());
                INSERT INTO keyvane.project VALUES ('\(project)', '\(workspace)', 'web', 'Web', '', 'none', 'none', now(), now());
                INSERT INTO keyvane.environment (id, workspace_id, project_id, slug, name, description, mark, origin_mark, created_at, updated_at)
                VALUES ('\(environment)', '\(workspace)', '\(project)', 'production', '', '', 1, 1, now(), now());
                INSERT INTO keyvane.audit (id, at, actor, action, workspace_id, environment_id, target) VALUES
                    (gen_random_uuid(), now(), 'root', 'workspace.create', '\(workspace)', NULL, 'acme'),
                    (gen_random_uuid(), now(), 'root', 'entry.set', '\(workspace)', '\(environment)', 'A'),
                    (gen_random_uuid(), now(), 'root', 'token.create', NULL, NULL, 'ab12cd34');
                """
            )
            try await LoopGroup.withLoops(count: 1) { loops in
                try await StoreFixture.make(url: database.url, loops: loops).migrate()
            }
            let path = try await database.sql("SELECT path FROM keyvane.environment")
            #expect(path == ["acme/web/production"])
            let places = try await database.sql("SELECT place FROM keyvane.audit ORDER BY place")
            #expect(places == ["*", "acme", "acme/web/production"])
        }
    }

    @Test("An older binary refuses a newer schema, and leaves it alone")
    func newer() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.database.sql("INSERT INTO keyvane.schema_version VALUES (999, now())")
            try await LoopGroup.withLoops(count: 1) { loops in
                let older = try StoreFixture.make(url: fixture.database.url, loops: loops)
                await expectRefusal(.schemaTooNew) { try await older.migrate() }
                await expectRefusal(.schemaTooNew) { try await older.run() }
            }
            // One that runs already goes on: an update rolls through the instances.
            try await fixture.set("A", "1")
        }
    }

    @Test("A URL that can't be read is refused without showing it")
    func url() async throws {
        try await LoopGroup.withLoops(count: 1) { loops in
            for url in [
                "postgresql://u:hunter2@[::1/db", "postgresql://u:hunter2@h:port/db?nosuch=1",
                "postgresql://u:hunter2@/db?host=a,b&port=1,2,3",
            ] {
                let error = await failure { try StoreFixture.make(url: url, loops: loops) }
                #expect(error?.code == .configurationInvalid && !"\(String(describing: error))".contains("hunter2"))
            }
        }
    }

    @Test("Several hosts: the dead ones are passed over")
    func hosts() async throws {
        try await withPostgresDatabase { database in
            // Nobody listens on port 1, and the first name doesn't exist.
            let folder = try #require(database.url.split(separator: "=").last)
            let url = "postgresql://postgres@/\(database.name)?host=no-such-host.invalid,127.0.0.1,\(folder)&port=5432,1,5432"
            try await StoreFixture.withStore(url: url) { store in
                _ = try await store.createWorkspace(slug: "acme", actor: "root")
                try await store.ping()
            }
        }
    }
}
