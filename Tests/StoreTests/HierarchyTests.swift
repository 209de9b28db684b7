// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

@Suite("Hierarchy")
struct HierarchyTests {
    @Test("Made, read, listed, and refused when taken or unknown")
    func levels() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let workspace = try await store.workspace("acme")
            #expect(workspace.name == "acme" && workspace.description.isEmpty)
            let project = try await store.project(workspace: "acme", slug: "web")
            #expect(project.workspaceID == workspace.id && project.workspace == "acme")
            let path = try EnvironmentPath(parsing: "acme/web/production")
            #expect(try await store.environment(path) == fixture.environment)
            #expect(fixture.environment.projectID == project.id && fixture.environment.revision == 0)
            let named = try await store.createEnvironment(
                workspace: "acme",
                project: "web",
                slug: "dev",
                name: "Dev \"x\"",
                description: "two\nlines",
                actor: "root"
            )
            #expect(named.name == "Dev \"x\"" && named.description == "two\nlines")

            await expectRefusal(.conflict) { try await store.createWorkspace(slug: "acme", actor: "root") }
            await expectRefusal(.conflict) { try await store.createProject(workspace: "acme", slug: "web", actor: "root") }
            await expectRefusal(.conflict) {
                try await store.createEnvironment(workspace: "acme", project: "web", slug: "dev", actor: "root")
            }
            await expectRefusal(.notFound) { try await store.createProject(workspace: "none", slug: "x", actor: "root") }
            await expectRefusal(.notFound) {
                try await store.createEnvironment(workspace: "acme", project: "none", slug: "x", actor: "root")
            }
            await expectRefusal(.notFound) { try await store.workspace("none") }
            await expectRefusal(.notFound) { try await store.project(workspace: "acme", slug: "none") }
            await expectRefusal(.notFound) { try await store.environment(EnvironmentPath(parsing: "acme/web/none")) }
            await expectRefusal(.notFound) { try await store.environment(id: UUID()) }
            await expectRefusal(.notFound) { try await store.projects(workspace: "none", PageRequest()) }
            await expectRefusal(.notFound) { try await store.environments(workspace: "acme", project: "none", PageRequest()) }
            let audit = try await fixture.database.sql("SELECT action, target FROM keyvane.audit ORDER BY at, action")
            #expect(audit == ["workspace.create|acme", "project.create|web", "environment.create|production", "environment.create|dev"])
        }
    }

    @Test("Lists are paged and narrowed")
    func lists() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            for slug in ["c", "a", "b-1", "b"] {
                _ = try await store.createWorkspace(slug: slug, actor: "root")
                _ = try await store.createProject(workspace: "acme", slug: slug, actor: "root")
                _ = try await store.createEnvironment(workspace: "acme", project: "web", slug: slug, actor: "root")
            }
            let page = try await store.workspaces(PageRequest(limit: 2))
            #expect(page.items.map(\.slug) == ["a", "acme"] && page.nextCursor == "acme")
            let rest = try await store.workspaces(PageRequest(limit: 3, after: "acme"))
            #expect(rest.items.map(\.slug) == ["b", "b-1", "c"] && rest.nextCursor == nil)
            let some = try await store.workspaces(PageRequest(), only: ["c", "acme", "nosuch"])
            #expect(some.items.map(\.slug) == ["acme", "c"])
            let none = try await store.workspaces(PageRequest(), only: [])
            #expect(none.items.isEmpty)
            let projects = try await store.projects(workspace: "acme", PageRequest(limit: 1, after: "b"), only: nil)
            #expect(projects.items.map(\.slug) == ["b-1"] && projects.nextCursor == "b-1")
            let empty = try await store.environments(workspace: "acme", project: "c", PageRequest())
            #expect(empty.items.isEmpty && empty.nextCursor == nil)
            let environments = try await store.environments(workspace: "acme", project: "web", PageRequest(limit: 4), only: nil)
            #expect(environments.items.map(\.path.environment) == ["a", "b", "b-1", "c"] && environments.nextCursor == "c")
        }
    }

    @Test("Slugs, names and descriptions are checked")
    func input() async throws {
        try await StoreFixture.with { fixture in
            for slug in ["", "-a", "a-", "A", "a_b", "ä", "a b", "a\0", String(repeating: "a", count: 64), "..", "a/b"] {
                let error = await failure { try await fixture.store.createWorkspace(slug: slug, actor: "root") }
                #expect(error?.code == .invalid && error?.field == "slug")
            }
            _ = try await fixture.store.createWorkspace(slug: String(repeating: "a", count: 63), actor: "root")
            let name = await failure { try await fixture.store.createWorkspace(slug: "x", name: "a\nb", actor: "root") }
            #expect(name?.field == "name")
            let text = await failure { try await fixture.store.createWorkspace(slug: "x", description: "\0", actor: "root") }
            #expect(text?.field == "description")
            for path in ["", "a", "a/b", "a/b/c/d", "A/b/c", "a//c"] {
                await expectRefusal(.invalid) { try EnvironmentPath(parsing: path) }
            }
        }
    }

    @Test("Changed: only what is named, with a version, and nothing where nothing changes")
    func changes() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let root = MutationOrigin(actor: "root", requestID: "r-1")
            let path = fixture.environment.path
            let workspace = try await store.changeWorkspace("acme", PlaceChange(name: "Acme"), root)
            #expect(workspace.name == "Acme" && workspace.version == 2 && workspace.description.isEmpty)
            let project = try await store.changeProject(workspace: "acme", slug: "web", PlaceChange(description: "d"), root)
            #expect(project.description == "d" && project.name == "web" && project.tag == "2")
            _ = try await fixture.set("A", "1")
            let environment = try await store.changeEnvironment(path, PlaceChange(name: "Live", description: "e"), root)
            #expect(environment.name == "Live" && environment.revision == 1 && environment.tag == "2.1")
            #expect(try await store.environment(path) == environment)
            let same = try await store.changeEnvironment(path, PlaceChange(name: "Live"), root)
            #expect(same == environment)
            let audit = try await fixture.database.sql(
                "SELECT action, place, target, request_id FROM keyvane.audit WHERE action LIKE '%.update' ORDER BY at"
            )
            #expect(
                audit == [
                    "workspace.update|acme|acme|r-1", "project.update|acme/web|web|r-1",
                    "environment.update|acme/web/production|production|r-1",
                ]
            )
            for (condition, code) in [
                (["1.1"], StoreError.Code.preconditionFailed), (["2.0"], .preconditionFailed), ([], .preconditionFailed),
            ] {
                let origin = MutationOrigin(actor: "root", condition: condition)
                await expectRefusal(code) { try await store.changeEnvironment(path, PlaceChange(name: "No"), origin) }
                await expectRefusal(code) { try await store.remove(.environment(path), origin) }
            }
            await expectRefusal(.notFound) { try await store.changeWorkspace("none", PlaceChange(name: "x"), root) }
            await expectRefusal(.notFound) { try await store.changeProject(workspace: "none", slug: "web", PlaceChange(name: "x"), root) }
            await expectRefusal(.invalid) { try await store.changeWorkspace("acme", PlaceChange(name: ""), root) }
            let fitting = MutationOrigin(actor: "root", condition: ["7", "2.1"])
            #expect(try await store.changeEnvironment(path, PlaceChange(name: "Yes"), fitting).version == 3)
        }
    }

    @Test("Deleted: what isn't empty only by force, and then with everything in it but the audit")
    func removal() async throws {
        try await StoreFixture.with { fixture in
            let (store, database) = (fixture.store, fixture.database)
            let root = MutationOrigin(actor: "root")
            let dev = try await store.createEnvironment(workspace: "acme", project: "web", slug: "dev", actor: "root")
            _ = try await store.createProject(workspace: "acme", slug: "empty", actor: "root")
            _ = try await fixture.set("A", "1")
            _ = try await fixture.set("S", "hunter2", kind: .secret)
            await expectRefusal(.conflict) { try await store.remove(.workspace("acme"), root) }
            await expectRefusal(.conflict) { try await store.remove(.project(workspace: "acme", "web"), root) }
            await expectRefusal(.notFound) { try await store.remove(.project(workspace: "acme", "none"), force: true, root) }
            #expect(try await store.remove(.project(workspace: "acme", "empty"), root).isEmpty)
            #expect(try await store.remove(.environment(dev.path), root) == [dev.id])
            await expectRefusal(.notFound) { try await store.remove(.environment(dev.path), root) }
            await expectRefusal(.notFound) { try await store.environment(dev.path) }
            // Another workspace of the same look stays as it is.
            _ = try await store.createWorkspace(slug: "other", actor: "root")
            _ = try await store.createProject(workspace: "other", slug: "web", actor: "root")
            let kept = try await store.createEnvironment(workspace: "other", project: "web", slug: "production", actor: "root")
            let gone = try await store.remove(.workspace("acme"), force: true, root)
            #expect(gone == [fixture.environmentID])
            for table in ["workspace", "project", "environment", "entry", "change", "outbox"] {
                let rows = try await database.sql("SELECT count(*) FROM keyvane.\(table)")
                #expect(rows == [["workspace", "project", "environment"].contains(table) ? "1" : "0"], "\(table)")
            }
            #expect(try await store.environment(kept.path) == kept)
            await expectRefusal(.notFound) { try await store.projectKey(environmentID: fixture.environmentID) }
            await expectRefusal(.notFound) { try await fixture.set("A", "2") }
            let audit = try await database.sql("SELECT action, place FROM keyvane.audit WHERE action LIKE '%.delete' ORDER BY at")
            #expect(audit == ["project.delete|acme/empty", "environment.delete|acme/web/dev", "workspace.delete|acme"])
            #expect(try await database.sql("SELECT count(*) FROM keyvane.audit WHERE action = 'entry.set'") == ["2"])
        }
    }

    @Test("Deleted while it is being written, and while more is made in it: no deadlock, nothing left behind")
    func removalUnderLoad() async throws {
        try await StoreFixture.with(readers: 2, writers: 2) { fixture in
            let store = fixture.store
            for round in 0..<6 {
                let slug = "p\(round)"
                _ = try await store.createProject(workspace: "acme", slug: slug, actor: "root")
                var ids: [UUID] = []
                for number in 0..<4 {
                    ids.append(try await store.createEnvironment(workspace: "acme", project: slug, slug: "e\(number)", actor: "root").id)
                }
                await withTaskGroup(of: StoreError.Code?.self) { group in
                    for number in 0..<40 {
                        let id = ids[number % ids.count]
                        group.addTask {
                            let change = EntryChange(name: "N\(number)", op: .set("1"), kind: .variable)
                            return await failure { try await store.mutate(Mutation(environmentID: id, changes: [change], actor: "root")) }?
                                .code
                        }
                        guard number % 8 == 0 else { continue }
                        group.addTask {
                            await failure {
                                try await store.createEnvironment(workspace: "acme", project: slug, slug: "late\(number)", actor: "root")
                            }?.code
                        }
                    }
                    group.addTask {
                        let place = Place.project(workspace: "acme", slug)
                        return await failure { try await store.remove(place, force: true, MutationOrigin(actor: "root")) }?.code
                    }
                    for await code in group { #expect(code == nil || code == .notFound) }
                }
            }
            let left = """
                SELECT count(*) FROM (SELECT environment_id FROM keyvane.entry UNION SELECT environment_id FROM keyvane.change
                    UNION SELECT environment_id FROM keyvane.outbox) x WHERE environment_id NOT IN (SELECT id FROM keyvane.environment)
                """
            #expect(try await fixture.database.sql(left) == ["0"])
            #expect(try await fixture.database.sql("SELECT count(*) FROM keyvane.project WHERE slug LIKE 'p%'") == ["0"])
        }
    }

    @Test("A part of a slug or a name finds it, whatever its case and whatever characters it has")
    func search() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            for (slug, name) in [("a1", "100% Sure"), ("b2", "under_score"), ("c3", "back\\slash"), ("d4", "Über")] {
                _ = try await store.createWorkspace(slug: slug, name: name, actor: "root")
                _ = try await store.createProject(workspace: "acme", slug: slug, name: name, actor: "root")
                _ = try await store.createEnvironment(workspace: "acme", project: "web", slug: slug, name: name, actor: "root")
            }
            for (text, slugs) in [
                ("%", ["a1"]), ("_", ["b2"]), ("\\", ["c3"]), ("SURE", ["a1"]), ("B2", ["b2"]), ("'", []), ("nothing", []), ("\0", []),
            ] {
                let workspaces = try await store.workspaces(PageRequest(), matching: text)
                let projects = try await store.projects(workspace: "acme", PageRequest(), matching: text)
                let environments = try await store.environments(workspace: "acme", project: "web", PageRequest(), matching: text)
                #expect(workspaces.items.map(\.slug) == slugs, "\(text)")
                #expect(projects.items.map(\.slug) == slugs, "\(text)")
                #expect(environments.items.map(\.path.environment) == slugs, "\(text)")
            }
            let page = try await store.workspaces(PageRequest(limit: 1), only: ["a1", "b2"], matching: "s")
            #expect(page.items.map(\.slug) == ["a1"] && page.nextCursor == "a1")
        }
    }
}
