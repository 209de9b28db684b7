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
}
