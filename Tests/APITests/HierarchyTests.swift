// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Notifier
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

    private static let places = ["/v1/workspaces/acme", "/v1/projects/acme/web", TestAPI.path]

    @Test func namesAndDescriptionsChangeAndSlugsDoNot() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            for path in Self.places {
                let changed = try await api.root.call("PATCH", path, body: #"{"name":"New","description":"d"}"#)
                #expect(changed.status == 200)
                #expect(changed["name"]?.text == "New")
                let read = try await api.root.call("GET", path)
                #expect(read.text == changed.text)
                #expect(read.fields["etag"] == changed.fields["etag"])
                let cleared = try await api.root.call("PATCH", path, body: #"{"name":null,"description":null}"#)
                #expect(cleared["name"]?.text == cleared["slug"]?.text)
                #expect(cleared["description"]?.text == "")
                for (body, pointer) in [
                    (#"{"slug":"other"}"#, "/slug"), (#"{"name":7}"#, "/name"), (#"{"id":"x"}"#, "/id"),
                    (#"{"description":"\u0000"}"#, "/description"),
                ] {
                    let refused = try await api.root.call("PATCH", path, body: body)
                    #expect(refused.status == 422, "\(body)")
                    #expect(refused["errors"]?.texts("pointer") == [pointer], "\(body)")
                }
            }
            #expect(try await api.root.call("PATCH", TestAPI.path, body: "{}").fields["keyvane-revision"] == "0")
            #expect(try await api.root.call("PATCH", "/v1/workspaces/none", body: "{}").status == 404)
        }
    }

    @Test func recordsHaveTagsThatConditionsAreComparedWith() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            for path in Self.places {
                let tag = try #require(try await api.root.call("GET", path).fields["etag"])
                let seen = try await api.root.call("GET", path, fields: [("If-None-Match", "W/\(tag)")])
                #expect(seen.status == 304)
                #expect(seen.fields["etag"] == tag)
                #expect(try await api.root.call("PATCH", path, body: #"{"name":"One"}"#, fields: [("If-Match", tag)]).status == 200)
                let late = try await api.root.call("PATCH", path, body: #"{"name":"Two"}"#, fields: [("If-Match", tag)])
                #expect(late.status == 412)
                #expect(late["current"]?["name"]?.text == "One")
                let now = try await api.root.call("GET", path)
                #expect(late.fields["etag"] == now.fields["etag"])
                #expect(now["name"]?.text == "One")
                for field in [("If-Match", tag), ("If-None-Match", "*")] {
                    #expect(try await api.root.call("DELETE", path, fields: [field]).status == 412)
                }
                #expect(try await api.root.call("PATCH", path, body: "{}", fields: [("If-Match", "*")]).status == 200)
                #expect(try await api.root.call("PATCH", path, body: "{}", fields: [("If-Match", "oops")]).status == 400)
            }
            // What an environment tells changes with its entries.
            let tag = try #require(try await api.root.call("GET", TestAPI.path).fields["etag"])
            _ = try await api.root.call("PUT", TestAPI.path + "/variables/A", body: #"{"value":"1"}"#)
            #expect(try await api.root.call("GET", TestAPI.path, fields: [("If-None-Match", tag)]).status == 200)
        }
    }

    @Test func whatIsNotEmptyGoesOnlyByForce() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            _ = try await api.root.call("PUT", TestAPI.path + "/variables/A", body: #"{"value":"1"}"#)
            for path in ["/v1/workspaces/acme", "/v1/projects/acme/web"] {
                let refused = try await api.root.call("DELETE", path)
                #expect(refused.status == 409)
                #expect(refused["code"]?.text == "not_empty")
                #expect(try await api.root.call("DELETE", path + "?force=yes").status == 422)
            }
            #expect(try await api.root.call("DELETE", TestAPI.path + "?force=true").status == 400)
            #expect(try await api.root.call("DELETE", "/v1/projects/acme/web?force=true").status == 204)
            #expect(try await api.root.call("GET", TestAPI.path + "/variables/A").status == 404)
            #expect(try await api.root.call("DELETE", "/v1/projects/acme/web").status == 404)
            let empty = try await api.root.call("DELETE", "/v1/workspaces/acme")
            #expect(empty.status == 204)
            #expect(empty.body.isEmpty)
        }
    }

    @Test func gatewaysHearOfEveryEnvironmentThatGoes() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url) { api in
                _ = try await eventually("redis") { api.redis.isConnected ? true : nil }
                let production = try await api.seed().id
                let dev = try await api.store.createEnvironment(workspace: "acme", project: "web", slug: "dev", actor: "root").id
                let controls = Events<ControlMessage>()
                try await withControls(redis, controls) {
                    #expect(try await api.root.call("DELETE", "/v1/workspaces/acme?force=true").status == 204)
                    let heard = try await controls.until { $0.count == 2 }
                    let expected = [production, dev].map { ControlMessage.environmentDeleted(environmentID: $0.uuidString.lowercased()) }
                    #expect(Set(heard) == Set(expected))
                }
            }
        }
    }

    @Test func listsAreSearched() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            _ = try await api.root.call("POST", "/v1/workspaces", body: #"{"slug":"other","name":"50% Off_"}"#)
            for (query, slugs) in [("q=ACM", ["acme"]), ("q=%25", ["other"]), ("q=f_", ["other"]), ("q=x", []), ("q=", ["acme", "other"])] {
                #expect(try await api.root.call("GET", "/v1/workspaces?\(query)")["items"]?.texts("slug") == slugs, "\(query)")
            }
            #expect(try await api.root.call("GET", "/v1/workspaces/acme/projects?q=we")["items"]?.texts("slug") == ["web"])
            #expect(try await api.root.call("GET", "/v1/projects/acme/web/environments?q=y")["items"]?.texts("slug") == [])
            let long = String(repeating: "x", count: 256)
            #expect(try await api.root.call("GET", "/v1/workspaces?q=\(long)").status == 422)
        }
    }
}
