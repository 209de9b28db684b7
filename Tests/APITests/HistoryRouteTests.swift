// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

/// Time travel, diff, rollback of an environment, promotion.
@Suite(.serialized) struct HistoryRouteTests {
    private static let path = TestAPI.path + "/configuration"

    /// `A` twice, a secret, and one that goes: revisions 1 to 5.
    private func history(_ api: TestAPI) async throws {
        _ = try await api.root.call("PATCH", Self.path, body: #"{"set":[{"name":"A","value":"1"},{"name":"OLD","value":"x"}]}"#)
        _ = try await api.root.call("PUT", TestAPI.path + "/secrets/S", body: #"{"value":"hunter2"}"#)
        _ = try await api.root.call("PATCH", Self.path, body: #"{"set":[{"name":"A","value":"2"}],"delete":["OLD"]}"#)
    }

    @Test func aPastRevisionReadsAsItWas() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            try await history(api)
            let then = try await api.root.call("GET", Self.path + "?at=2")
            #expect(then["revision"] == .integer(2))
            #expect(then.fields["etag"] == "\"2\"")
            #expect(then["entries"]?.texts("name") == ["A", "OLD"])
            #expect(then["entries"]?.texts("value") == ["1", "x"])
            let same = try await api.root.call("GET", Self.path + "?at=2", fields: [("If-None-Match", "\"2\"")])
            #expect(same.status == 304)
            let empty = try await api.root.call("GET", Self.path + "?at=0")
            #expect(empty["entries"]?.elements.isEmpty == true)
            let document = try await api.root.call("GET", Self.path + "?at=3&format=dotenv")
            #expect(document.text.contains("hunter2"))
            #expect(try await api.root.call("GET", Self.path + "?at=9").status == 422)
            #expect(try await api.root.call("GET", Self.path + "?at=x").status == 422)
        }
    }

    private func diff(_ api: TestAPI, _ query: String) async throws -> String {
        try await api.root.call("GET", TestAPI.path + "/diff" + query).text
    }

    @Test func diffNamesWhatDiffers() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            try await history(api)
            #expect(try await diff(api, "?from=2&to=5") == #"{"from":2,"to":5,"added":["S"],"removed":["OLD"],"changed":["A"]}"#)
            #expect(try await diff(api, "?from=2") == #"{"from":2,"to":5,"added":["S"],"removed":["OLD"],"changed":["A"]}"#)
            #expect(try await diff(api, "?from=5&to=0") == #"{"from":5,"to":0,"added":[],"removed":["A","S"],"changed":[]}"#)
            for query in ["", "?to=1", "?from=9", "?from=1&against=acme/web/production", "?against=acme/web"] {
                #expect(try await api.root.call("GET", TestAPI.path + "/diff" + query).status == 422, "\(query)")
            }
            _ = try await api.store.createEnvironment(workspace: "acme", project: "web", slug: "staging", actor: "root")
            let staging = "/v1/projects/acme/web/environments/staging"
            _ = try await api.root.call(
                "PATCH",
                staging + "/configuration",
                body: #"{"set":[{"name":"A","value":"2"},{"name":"N","value":"1"}]}"#
            )
            _ = try await api.root.call("PUT", staging + "/secrets/S", body: #"{"value":"hunter2"}"#)
            let expected = #"{"from":"acme/web/production","to":"acme/web/staging","added":["N"],"removed":[],"changed":[]}"#
            #expect(try await diff(api, "?against=acme/web/staging") == expected)
            // Without the right to read it, nobody learns whether two secrets are equal.
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read]))
            let blind = try await reader.call("GET", TestAPI.path + "/diff?against=acme/web/staging")
            #expect(blind["changed"] == .array([.string("S")]))
            let narrow = try await api.client(
                Grant(workspace: "acme", project: "web", environment: "production", permissions: [.read])
            )
            #expect(try await narrow.call("GET", TestAPI.path + "/diff?against=acme/web/staging").status == 404)
        }
    }

    @Test func rollingBackIsNewChangesInOneTransaction() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            try await history(api)
            _ = try await api.root.call("POST", TestAPI.path + "/variables/A/disable")
            let back = try await api.root.call("POST", TestAPI.path + "/rollback", body: #"{"revision":2}"#)
            #expect(back.status == 200)
            #expect(back["revision"] == .integer(9))
            #expect(Set(back["changes"]?.texts("name") ?? []) == ["A", "OLD", "S"])
            let changes = try await api.store.changes(environmentID: environment.id, first: 7, last: 9)
            #expect(Set(changes.map(\.first)) == [7])
            let read = try await api.root.call("GET", Self.path)
            #expect(read["entries"]?.texts("name") == ["A", "OLD"])
            #expect(read["entries"]?.texts("value") == ["1", "x"])
            let again = try await api.root.call("POST", TestAPI.path + "/rollback", body: #"{"revision":2}"#)
            #expect(again.text == #"{"revision":9,"changes":[]}"#)
            let forward = try await api.root.call("POST", TestAPI.path + "/rollback", body: #"{"revision":5}"#)
            #expect(forward.status == 200)
            #expect(try await api.root.call("GET", TestAPI.path + "/secrets/S")["value"]?.text == "hunter2")
            let late = try await api.root.call(
                "POST",
                TestAPI.path + "/rollback",
                body: #"{"revision":2}"#,
                fields: [("If-Match", "\"1\"")]
            )
            #expect(late.status == 412)
            let narrow = try await api.client(Grant(workspace: "acme", names: ["A"], permissions: [.read, .write]))
            let refused = try await narrow.call("POST", TestAPI.path + "/rollback", body: #"{"revision":2}"#)
            #expect(refused.status == 403)
            #expect(!refused.text.contains("OLD"))
        }
    }

    /// Writers go on while it is rolled back: it is worked out anew for as long as they are faster, and is never a mixture.
    @Test func aRollbackUnderWritersIsWhole() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            _ = try await api.root.call("PATCH", Self.path, body: #"{"set":[{"name":"A","value":"0"},{"name":"B","value":"0"}]}"#)
            let root = api.root
            try await withThrowingTaskGroup(of: Int.self) { group in
                for writer in 1...2 {
                    group.addTask {
                        for number in 1...10 {
                            let body =
                                #"{"set":[{"name":"A","value":"\#(writer)-\#(number)"},{"name":"B","value":"\#(writer)-\#(number)"}]}"#
                            _ = try await root.call("PATCH", Self.path, body: body)
                        }
                        return 200
                    }
                }
                for _ in 1...3 {
                    group.addTask { try await root.call("POST", TestAPI.path + "/rollback", body: #"{"revision":2}"#).status }
                }
                for try await status in group { #expect(status == 200) }
            }
            let head = try await api.store.environment(id: environment.id).revision
            for revision in stride(from: 2, through: head, by: 2) {
                let state = try await api.store.state(environmentID: environment.id, at: revision)
                #expect(Set(state.entries.map { $0.value?.text }).count == 1, "at \(revision)")
            }
        }
    }

    @Test func promotingCopiesWhatDiffers() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            try await history(api)
            _ = try await api.store.createEnvironment(workspace: "acme", project: "web", slug: "next", actor: "root")
            let next = "/v1/projects/acme/web/environments/next"
            _ = try await api.root.call(
                "PATCH",
                next + "/configuration",
                body: #"{"set":[{"name":"A","value":"2"},{"name":"OWN","value":"1"}]}"#
            )
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read, .write]))
            let blind = try await reader.call("POST", next + "/promote", body: #"{"from":"acme/web/production"}"#)
            #expect(blind.status == 403)
            let named = try await reader.call("POST", next + "/promote", body: #"{"from":"acme/web/production","names":["A"]}"#)
            #expect(named.text == #"{"revision":2,"changes":[]}"#)
            let promoted = try await api.root.call("POST", next + "/promote", body: #"{"from":"acme/web/production"}"#)
            #expect(promoted["changes"]?.texts("name") == ["S"])
            #expect(promoted["changes"]?[0]?["isSecret"] == .bool(true))
            let read = try await api.root.call("GET", next + "/configuration")
            #expect(read["entries"]?.texts("value") == ["2", "1", "hunter2"])
            _ = try await api.root.call("PUT", next + "/variables/T", body: #"{"value":"1"}"#)
            _ = try await api.root.call("PUT", TestAPI.path + "/secrets/T", body: #"{"value":"1"}"#)
            let clash = try await api.root.call("POST", next + "/promote", body: #"{"from":"acme/web/production"}"#)
            #expect(clash.status == 409)
            #expect(clash["code"]?.text == "kind_conflict")
        }
    }

    @Test func keyshadesClientsReadTheirShapes() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            try await history(api)
            let health = try await api.http(nil).call("GET", "/api/health")
            #expect(health.text == "UP")
            let token = try await api.store.createToken(
                description: "",
                grants: [Grant(workspace: "acme", permissions: [.readSecrets])],
                expiresAt: nil,
                createdBy: "root"
            ).text
            let keyshade = [("x-keyshade-token", token)]
            let variables = try await api.http(nil).call("GET", "/api/variable/web/production", fields: keyshade)
            #expect(variables.text == #"[{"name":"A","value":"2","isPlaintext":true}]"#)
            let secrets = try await api.http(nil).call("GET", "/api/secret/web/production", fields: keyshade)
            #expect(secrets.text == #"[{"name":"S","value":"hunter2","isPlaintext":true}]"#)
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read]))
            #expect(try await reader.call("GET", "/api/secret/web/production").text == "[]")
            #expect(try await reader.call("GET", "/api/variable/web/nowhere").status == 404)
            _ = try await api.store.createWorkspace(slug: "other", actor: "root")
            _ = try await api.store.createProject(workspace: "other", slug: "web", actor: "root")
            _ = try await api.store.createEnvironment(workspace: "other", project: "web", slug: "production", actor: "root")
            #expect(try await api.root.call("GET", "/api/variable/web/production").status == 409)
            #expect(try await reader.call("GET", "/api/variable/web/production").status == 200)
        }
    }
}
