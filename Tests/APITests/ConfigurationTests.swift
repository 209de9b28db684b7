// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

@Suite(.serialized) struct ConfigurationTests {
    private static let path = TestAPI.path + "/configuration"

    @Test func aPatchIsOneTransaction() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            let body = #"{"set":[{"name":"B","value":"2"},{"name":"A","value":"hunter2","isSecret":true}],"delete":["GONE"]}"#
            let patched = try await api.root.call("PATCH", Self.path, body: body)
            #expect(patched.status == 200)
            #expect(patched["revision"] == .integer(2))
            #expect(patched.fields["etag"] == "\"2\"")
            #expect(patched.fields["keyvane-revision"] == "2")
            #expect(patched["changes"]?.texts("name") == ["B", "A"])
            let changes = try await api.store.changes(environmentID: environment.id, first: 1, last: 2)
            #expect(changes.map(\.first) == [1, 1])
            #expect(changes.map(\.last) == [2, 2])

            let read = try await api.root.call("GET", Self.path)
            let cursor = try #require(read["cursor"]?.text)
            let expected =
                #"{"environment":"acme/web/production","environmentId":"\#(environment.id.lowercased)","revision":2,"cursor":"\#(cursor)","#
                + #""entries":[{"name":"A","value":"hunter2","isSecret":true,"version":1,"revision":2},"#
                + #"{"name":"B","value":"2","isSecret":false,"version":1,"revision":1}],"withheld":0}"#
            #expect(read.text == expected)
            #expect(read.fields["etag"] == "\"2\"")
            #expect(read.fields["vary"] == "Authorization")
            #expect(read.fields["cache-control"] == "private")
            #expect(read.fields["content-type"] == "application/json")

            let mixed = try await api.root.call("PATCH", Self.path, body: #"{"set":[{"name":"C","value":"3"}],"delete":["B"]}"#)
            #expect(mixed["changes"]?.texts("op") == ["set", "delete"])
            #expect(mixed["changes"]?[1]?["value"] == nil)
            let keptKind = try await api.root.call("PATCH", Self.path, body: #"{"set":[{"name":"A","value":"new"}]}"#)
            #expect(keptKind["changes"]?[0]?["isSecret"] == .bool(true))
        }
    }

    @Test func aRefusedPatchChangesNothing() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            _ = try await api.root.call("PATCH", Self.path, body: #"{"set":[{"name":"A","value":"1"}]}"#)
            let conflict = try await api.root.call(
                "PATCH",
                Self.path,
                body: #"{"set":[{"name":"B","value":"1"},{"name":"A","value":"2","isSecret":true}]}"#
            )
            #expect(conflict.status == 409)
            #expect(conflict["code"]?.text == "kind_conflict")
            let faulty = try await api.root.call(
                "PATCH",
                Self.path,
                body: #"{"set":[{"name":"C","value":"1"},{"name":"C","value":"2"},{"name":"D","value":"1"}],"delete":["D","E","E"]}"#
            )
            #expect(faulty.status == 422)
            #expect(faulty["errors"]?.texts("pointer") == ["/set/1/name", "/delete/0", "/delete/2"])
            #expect(try await api.store.environment(id: environment.id).revision == 1)
            let nothing = try await api.root.call("PATCH", Self.path, body: "{}")
            #expect(nothing.status == 200)
            #expect(nothing.text == #"{"revision":1,"changes":[]}"#)
        }
    }

    @Test func theRevisionIsTheTag() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let body = #"{"set":[{"name":"A","value":"1"}]}"#
            #expect(try await api.root.call("PATCH", Self.path, body: body, fields: [("If-Match", "\"0\"")]).status == 200)
            let late = try await api.root.call(
                "PATCH",
                Self.path,
                body: #"{"set":[{"name":"A","value":"2"}]}"#,
                fields: [("If-Match", "\"0\"")]
            )
            #expect(late.status == 412)
            #expect(late.fields["etag"] == "\"1\"")
            #expect(late["current"]?["revision"] == .integer(1))
            // A configuration exists always, so `*` never holds.
            for (tags, status) in [("*", 412), ("\"1\"", 400)] {
                let answer = try await api.root.call("PATCH", Self.path, body: body, fields: [("If-None-Match", tags)])
                #expect(answer.status == status)
            }
            for tag in ["\"1\"", "W/\"1\"", "*"] {
                let same = try await api.root.call("GET", Self.path, fields: [("If-None-Match", tag)])
                #expect(same.status == 304)
                #expect(same.fields["etag"] == "\"1\"")
                #expect(same.fields["vary"] == "Authorization")
            }
        }
    }

    @Test func namesAndGrantsCutIt() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let body =
                #"{"set":[{"name":"APP_A","value":"1"},{"name":"APP_S","value":"hunter2","isSecret":true},"#
                + #"{"name":"DB_A","value":"2"},{"name":"DB_S","value":"hunter2","isSecret":true}]}"#
            _ = try await api.root.call("PATCH", Self.path, body: body)
            func read(_ http: APIClient, _ query: String = "") async throws -> (names: [String]?, withheld: JSONValue?) {
                let answer = try await http.call("GET", Self.path + query)
                #expect(answer.status == 200)
                return (answer["entries"]?.texts("name"), answer["withheld"])
            }
            #expect(try await read(api.root) == (["APP_A", "APP_S", "DB_A", "DB_S"], .integer(0)))
            #expect(try await read(api.root, "?names=APP_*,DB_S") == (["APP_A", "APP_S", "DB_S"], .integer(0)))
            #expect(try await read(api.root, "?names=D?_A") == (["DB_A"], .integer(0)))
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read]))
            #expect(try await read(reader) == (["APP_A", "DB_A"], .integer(2)))
            #expect(try await read(reader, "?names=DB_*") == (["DB_A"], .integer(1)))
            let narrow = try await api.client(Grant(workspace: "acme", names: ["APP_*"], permissions: [.readSecrets]))
            #expect(try await read(narrow) == (["APP_A", "APP_S"], .integer(0)))
            #expect(try await narrow.call("GET", Self.path)["entries"]?.texts("value") == ["1", "hunter2"])
        }
    }
}
