// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Notifier
import Store
import TestSupport
import Testing

/// Disable, enable, rename, seal, versions, rollback: over HTTP.
@Suite(.serialized) struct EntryActionTests {
    private static let variable = TestAPI.path + "/variables/A"
    private static let secret = TestAPI.path + "/secrets/S"

    @Test func actionsAnswerWithTheEntryAndItsRevision() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            _ = try await api.root.call("PUT", Self.variable, body: #"{"value":"1","note":"why"}"#)
            let disabled = try await api.root.call("POST", Self.variable + "/disable")
            #expect(disabled.status == 200)
            #expect(disabled["enabled"] == .bool(false))
            #expect(disabled["note"]?.text == "why")
            #expect(disabled.fields["etag"] == "\"2\"")
            #expect(disabled.fields["keyvane-revision"] == "2")
            let snapshot = try await api.root.call("GET", TestAPI.path + "/configuration")
            #expect(snapshot["entries"]?.elements.isEmpty == true)
            // What is so already makes no revision.
            let again = try await api.root.call("POST", Self.variable + "/disable", body: "{}")
            #expect(again.fields["keyvane-revision"] == "2")
            // As `curl -X POST -d ''` sends it.
            let form = "application/x-www-form-urlencoded"
            let enabled = try await api.root.call("POST", Self.variable + "/enable", body: "", type: form)
            #expect(enabled["enabled"] == .bool(true))

            let renamed = try await api.root.call("POST", Self.variable + "/rename", body: #"{"name":"B"}"#)
            #expect(renamed.status == 200)
            #expect(renamed["name"]?.text == "B")
            #expect(renamed.fields["keyvane-revision"] == "5")
            #expect(try await api.root.call("GET", Self.variable).status == 404)

            let sealed = try await api.root.call("POST", TestAPI.path + "/variables/B/seal")
            #expect(sealed["isSecret"] == .bool(true))
            #expect(sealed["value"]?.text == "1")
            #expect(try await api.root.call("GET", TestAPI.path + "/variables/B").status == 404)
            #expect(try await api.root.call("POST", TestAPI.path + "/variables/B/seal").status == 404)
            #expect(try await api.root.call("POST", TestAPI.path + "/secrets/B/seal").status == 404)
        }
    }

    @Test func badActionsNameWhatIsWrongAndChangeNothing() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            _ = try await api.root.call("PUT", Self.variable, body: #"{"value":"1"}"#)
            _ = try await api.root.call("PUT", TestAPI.path + "/variables/TAKEN", body: #"{"value":"2"}"#)
            let rows: [(target: String, body: String?, status: Int, pointer: String?)] = [
                ("/variables/A/rename", #"{"name":"TAKEN"}"#, 409, nil),
                ("/variables/A/rename", #"{"name":"A"}"#, 422, "/name"),
                ("/variables/A/rename", #"{"name":"no name"}"#, 422, "/name"),
                ("/variables/A/rename", #"{}"#, 422, "/name"),
                ("/variables/A/rename", nil, 400, nil),
                ("/variables/NONE/rename", #"{"name":"B"}"#, 404, nil),
                ("/variables/A/disable", #"{"why":"so"}"#, 422, "/why"),
                ("/variables/A/rollback", #"{"version":0}"#, 422, "/version"),
                ("/variables/A/rollback", #"{"version":9}"#, 422, "/version"),
                ("/variables/A/rollback", #"{"version":"1"}"#, 422, "/version"),
                ("/secrets/A/rollback", #"{"version":1}"#, 404, nil),
                ("/rollback", #"{"revision":9}"#, 422, "/revision"),
                ("/rollback", #"{"revision":-1}"#, 422, "/revision"),
                ("/promote", #"{"from":"acme/web/nowhere"}"#, 404, nil),
                ("/promote", #"{"from":"acme"}"#, 422, "/from"),
                ("/promote", #"{"from":"acme/web/production","names":[]}"#, 422, "/names"),
            ]
            for row in rows {
                let answer = try await api.root.call("POST", TestAPI.path + row.target, body: row.body)
                #expect(answer.status == row.status, "\(row.target) \(row.body ?? "")")
                if let pointer = row.pointer { #expect(answer["errors"]?.texts("pointer") == [pointer], "\(row.target) \(row.body ?? "")") }
            }
            #expect(try await api.store.environment(id: environment.id).revision == 2)
        }
    }

    @Test func preconditionsHoldForActions() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            _ = try await api.root.call("PUT", Self.variable, body: #"{"value":"1"}"#)
            for action in ["/disable", "/seal"] {
                let late = try await api.root.call("POST", Self.variable + action, fields: [("If-Match", "\"7\"")])
                #expect(late.status == 412)
                #expect(late.fields["etag"] == "\"1\"")
            }
            let good = try await api.root.call("POST", Self.variable + "/disable", fields: [("If-Match", "W/\"1\"")])
            #expect(good.status == 200)
        }
    }

    @Test func versionsTellTheHistoryNewestFirst() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            for value in ["one", "two"] { _ = try await api.root.call("PUT", Self.secret, body: #"{"value":"\#(value)","note":"n"}"#) }
            _ = try await api.root.call("POST", Self.secret + "/disable")
            _ = try await api.root.call("DELETE", Self.secret)
            let all = try await api.root.call("GET", Self.secret + "/versions")
            #expect(all["items"]?.elements.map { $0["version"] } == [.integer(4), .integer(3), .integer(2), .integer(1)])
            #expect(all["items"]?.texts("op") == ["delete", "disable", "set", "set"])
            #expect(all["items"]?[0]?["value"] == .null)
            #expect(all["items"]?[3]?["value"]?.text == "one")
            #expect(all["items"]?[3]?["by"]?.text == "root")
            #expect(all["nextCursor"] == .null)
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read]))
            let hidden = try await reader.call("GET", Self.secret + "/versions")
            #expect(hidden.status == 200)
            #expect(!hidden.text.contains("one"))
            let page = try await api.root.call("GET", Self.secret + "/versions?limit=3")
            #expect(page["nextCursor"]?.text == "2")
            #expect(try await api.root.call("GET", Self.secret + "/versions?cursor=x").status == 422)
            #expect(try await api.root.call("GET", TestAPI.path + "/variables/S/versions").status == 404)

            let back = try await api.root.call("POST", Self.secret + "/rollback", body: #"{"version":1}"#)
            #expect(back.status == 200)
            #expect(back["version"] == .integer(5))
            #expect(back["value"]?.text == "one")
        }
    }

    @Test func whoWaitsForADeleteGetsAnAnswerWithABody() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            _ = try await api.root.call("PUT", Self.variable, body: #"{"value":"1"}"#)
            // Redis is away: nobody knows who applied it.
            let put = try await api.root.call("PUT", Self.variable + "?wait=applied&timeout=100ms", body: #"{"value":"2"}"#)
            #expect(put["applied"] == .null)
            #expect(put["value"]?.text == "2")
            let deleted = try await api.root.call("DELETE", Self.variable + "?wait=applied")
            #expect(deleted.status == 200)
            #expect(deleted["revision"] == .integer(3))
            #expect(deleted["applied"] == .null)
            for query in ["?wait=so", "?timeout=5s", "?wait=applied&timeout=5", "?wait=applied&timeout=61s", "?wait=applied&timeout=-1s"] {
                #expect(try await api.root.call("PUT", Self.variable + query, body: #"{"value":"3"}"#).status == 422, "\(query)")
            }
        }
    }

    @Test func anEnvironmentWithoutWatchersIsAppliedAtOnce() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url) { api in
                _ = try await api.seed()
                _ = try await eventually("Redis being connected") { api.redis.isConnected ? true : nil }
                let start = ContinuousClock.now
                let put = try await api.root.call("PUT", Self.variable + "?wait=applied&timeout=30s", body: #"{"value":"2"}"#)
                #expect(start.duration(to: .now) < .seconds(20))
                #expect(put["applied"]?["acknowledging"] == .integer(0))
                #expect(put["applied"]?["pending"] == .integer(0))
            }
        }
    }
}
