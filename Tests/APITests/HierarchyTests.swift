// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

@Suite(.serialized) struct HierarchyTests {
    @Test func placesAreCreatedListedAndRead() async throws {
        try await withAPI { api in
            let workspace = try await api.root.call("POST", "/v1/workspaces", body: #"{"slug":"acme","name":"Acme Inc."}"#)
            #expect(workspace.status == 201)
            #expect(workspace.fields["location"] == "/v1/workspaces/acme")
            #expect(workspace["slug"]?.text == "acme")
            #expect(workspace["name"]?.text == "Acme Inc.")
            let project = try await api.root.call("POST", "/v1/workspaces/acme/projects", body: #"{"slug":"web","description":"d"}"#)
            #expect(project.status == 201)
            #expect(project.fields["location"] == "/v1/projects/acme/web")
            #expect(project["workspace"]?.text == "acme")
            let environment = try await api.root.call("POST", "/v1/projects/acme/web/environments", body: #"{"slug":"production"}"#)
            #expect(environment.status == 201)
            #expect(environment.fields["location"] == TestAPI.path)
            #expect(environment["environment"]?.text == "acme/web/production")
            #expect(environment["revision"] == .integer(0))
            let id = try #require(environment["id"]?.text)
            #expect(id == id.lowercased())
            let updatedAt = try #require(environment["updatedAt"]?.text)
            #expect(updatedAt.wholeMatch(of: #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/#) != nil)

            for (path, created) in [("/v1/workspaces/acme", workspace), ("/v1/projects/acme/web", project), (TestAPI.path, environment)] {
                let read = try await api.root.call("GET", path)
                #expect(read.status == 200)
                #expect(read.text == created.text)
            }
            for (path, slug) in [
                ("/v1/workspaces", "acme"), ("/v1/workspaces/acme/projects", "web"), ("/v1/projects/acme/web/environments", "production"),
            ] {
                let list = try await api.root.call("GET", path)
                #expect(list["items"]?.texts("slug") == [slug])
                #expect(list["nextCursor"] == .null)
            }
        }
    }

    @Test func aSlugIsTakenOnce() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            for (path, slug) in [
                ("/v1/workspaces", "acme"), ("/v1/workspaces/acme/projects", "web"), ("/v1/projects/acme/web/environments", "production"),
            ] {
                let again = try await api.root.call("POST", path, body: "{\"slug\":\"\(slug)\"}")
                #expect(again.status == 409)
                #expect(again["code"]?.text == "already_exists")
            }
            let orphan = try await api.root.call("POST", "/v1/workspaces/nowhere/projects", body: #"{"slug":"a"}"#)
            #expect(orphan.status == 404)
            let deeper = try await api.root.call("POST", "/v1/projects/acme/nowhere/environments", body: #"{"slug":"a"}"#)
            #expect(deeper.status == 404)
        }
    }

    @Test func listsComeInPages() async throws {
        try await withAPI { api in
            for number in 1...5 { _ = try await api.store.createWorkspace(slug: "w\(number)", actor: "root") }
            var slugs: [String] = []
            var target = "/v1/workspaces?limit=2"
            for count in [2, 2, 1] {
                let page = try await api.root.call("GET", target)
                #expect(page["items"]?.elements.count == count)
                slugs += page["items"]?.texts("slug") ?? []
                target = "/v1/workspaces?limit=2&cursor=\(page["nextCursor"]?.text ?? "none")"
            }
            #expect(target.hasSuffix("none"))
            #expect(Set(slugs) == ["w1", "w2", "w3", "w4", "w5"])
        }
    }

    @Test func listsShowWhatTheTokenMayKnowOf() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            _ = try await api.store.createWorkspace(slug: "other", actor: "root")
            _ = try await api.store.createProject(workspace: "acme", slug: "hidden", actor: "root")
            _ = try await api.store.createEnvironment(workspace: "acme", project: "web", slug: "staging", actor: "root")
            let client = try await api.client(Grant(workspace: "acme", project: "web", environment: "staging", permissions: [.read]))
            #expect(try await client.call("GET", "/v1/workspaces")["items"]?.texts("slug") == ["acme"])
            #expect(try await client.call("GET", "/v1/workspaces/acme/projects")["items"]?.texts("slug") == ["web"])
            #expect(try await client.call("GET", "/v1/projects/acme/web/environments")["items"]?.texts("slug") == ["staging"])
            for path in ["/v1/workspaces/other", "/v1/workspaces/other/projects", "/v1/projects/acme/hidden", TestAPI.path] {
                #expect(try await client.call("GET", path).status == 404)
            }
        }
    }
}
