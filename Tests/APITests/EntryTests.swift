// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

@Suite(.serialized) struct EntryTests {
    private static let variable = TestAPI.path + "/variables/DB_HOST"
    private static let secret = TestAPI.path + "/secrets/PASSWORD"

    @Test func aVariableIsWrittenReadChangedAndDeleted() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let created = try await api.root.call("PUT", Self.variable, body: #"{"value":"10.0.0.5","note":"the old one"}"#)
            #expect(created.status == 201)
            #expect(created.fields["etag"] == "\"1\"")
            #expect(created.fields["keyvane-revision"] == "1")
            let expected =
                #"{"name":"DB_HOST","value":"10.0.0.5","isSecret":false,"version":1,"revision":1,"note":"the old one","enabled":true,"#
            #expect(created.text.hasPrefix(expected))
            #expect(created["updatedBy"]?.text == "root")

            let read = try await api.root.call("GET", Self.variable)
            #expect(read.status == 200)
            #expect(read.text == created.text)
            #expect(read.fields["vary"] == "Authorization")
            #expect(read.fields["cache-control"] == "private")

            let changed = try await api.root.call("PUT", Self.variable, body: #"{"value":"10.0.0.9"}"#)
            #expect(changed.status == 200)
            #expect(changed.fields["etag"] == "\"2\"")
            #expect(changed.fields["keyvane-revision"] == "2")
            #expect(changed["note"]?.text == "the old one")

            let deleted = try await api.root.call("DELETE", Self.variable)
            #expect(deleted.status == 204)
            #expect(deleted.body.isEmpty)
            #expect(deleted.fields["content-length"] == nil)
            #expect(deleted.fields["keyvane-revision"] == "3")
            #expect(try await api.root.call("GET", Self.variable).status == 404)
            #expect(try await api.root.call("DELETE", Self.variable).status == 404)
        }
    }

    @Test func whatChangesNothingMakesNoRevision() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let first = try await api.root.call("PUT", Self.variable, body: #"{"value":"a","note":"n"}"#)
            for body in [#"{"value":"a"}"#, #"{"value":"a","note":"n"}"#] {
                let again = try await api.root.call("PUT", Self.variable, body: body)
                #expect(again.status == 200)
                #expect(again.text == first.text)
                #expect(again.fields["keyvane-revision"] == "1")
                #expect(again.fields["etag"] == "\"1\"")
            }
            let noted = try await api.root.call("PUT", Self.variable, body: #"{"value":"a","note":"m"}"#)
            #expect(noted.fields["keyvane-revision"] == "2")
            let cleared = try await api.root.call("PUT", Self.variable, body: #"{"value":"a","note":null}"#)
            #expect(cleared.fields["keyvane-revision"] == "3")
            #expect(cleared["note"] == .null)
            _ = try await api.root.call("PUT", Self.secret, body: #"{"value":"hunter2"}"#)
            let secret = try await api.root.call("PUT", Self.secret, body: #"{"value":"hunter2"}"#)
            #expect(secret.fields["keyvane-revision"] == "4")
        }
    }

    @Test func preconditionsAreKept() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            func put(_ value: String, _ fields: (String, String)...) async throws -> PlainAnswer {
                try await api.root.call("PUT", Self.variable, body: "{\"value\":\"\(value)\"}", fields: fields)
            }
            #expect(try await put("a", ("If-Match", "*")).status == 412)
            #expect(try await put("a", ("If-Match", "\"1\"")).status == 412)
            #expect(try await put("a", ("If-None-Match", "*")).status == 201)
            let refused = try await put("b", ("If-None-Match", "*"))
            #expect(refused.status == 412)
            #expect(refused.fields["etag"] == "\"1\"")
            #expect(refused["code"]?.text == "precondition_failed")
            #expect(refused["current"]?["value"]?.text == "a")
            #expect(try await put("b", ("If-Match", "\"1\"")).status == 200)
            #expect(try await put("c", ("If-Match", "\"1\"")).status == 412)
            #expect(try await put("c", ("If-Match", "\"9\", W/\"2\"")).status == 200)
            #expect(try await put("d", ("If-Match", "\"abc\"")).status == 412)
            for field in [("If-Match", "1"), ("If-Match", "\"1"), ("If-None-Match", "\"1\""), ("If-Match", "\"1\" \"2\"")] {
                let malformed = try await put("e", field)
                #expect(malformed.status == 400, "\(field)")
                #expect(malformed["code"]?.text == "malformed_header")
            }
            #expect(try await api.root.call("DELETE", Self.variable, fields: [("If-Match", "\"1\"")]).status == 412)
            #expect(try await api.root.call("DELETE", Self.variable, fields: [("If-Match", "\"3\"")]).status == 204)
            let read = try await put("f")
            let tag = try #require(read.fields["etag"])
            for given in [tag, "W/\(tag)", "\"x\", \(tag)", "*"] {
                let same = try await api.root.call("GET", Self.variable, fields: [("If-None-Match", given)])
                #expect(same.status == 304)
                #expect(same.body.isEmpty)
                #expect(same.fields["content-length"] == nil)
                #expect(same.fields["etag"] == tag)
            }
            #expect(try await api.root.call("GET", Self.variable, fields: [("If-None-Match", "\"1000\"")]).status == 200)
        }
    }

    /// Both writers have read version 1; whoever commits second must be told.
    @Test func ofManyWritersWithOneTagOneWins() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            _ = try await api.root.call("PUT", Self.variable, body: #"{"value":"0"}"#)
            for version in 1...5 {
                let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                    for writer in 1...8 {
                        group.addTask {
                            let body = "{\"value\":\"\(version)-\(writer)\"}"
                            return try await api.root.call("PUT", Self.variable, body: body, fields: [("If-Match", "\"\(version)\"")])
                                .status
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(statuses.filter { $0 == 200 }.count == 1)
                #expect(statuses.filter { $0 == 412 }.count == 7)
            }
            #expect(try await api.root.call("GET", Self.variable).fields["etag"] == "\"6\"")
        }
    }

    @Test func concurrentWritersMakeGapFreeRevisions() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            let revisions = try await withThrowingTaskGroup(of: Int.self) { group in
                for writer in 1...32 {
                    group.addTask {
                        let path = TestAPI.path + "/variables/N\(writer)"
                        let answer = try await api.root.call("PUT", path, body: #"{"value":"x"}"#)
                        return Int(answer.fields["keyvane-revision"] ?? "") ?? 0
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(revisions.sorted() == Array(1...32))
            #expect(try await api.store.environment(id: environment.id).revision == 32)
        }
    }

    @Test func namesAreUniqueAcrossKinds() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            _ = try await api.root.call("PUT", Self.secret, body: #"{"value":"hunter2"}"#)
            let path = TestAPI.path + "/variables/PASSWORD"
            let put = try await api.root.call("PUT", path, body: #"{"value":"x"}"#)
            #expect(put.status == 409)
            #expect(put["code"]?.text == "kind_conflict")
            #expect(try await api.root.call("GET", path).status == 404)
            #expect(try await api.root.call("DELETE", path).status == 404)
            #expect(try await api.root.call("GET", Self.secret).status == 200)
        }
    }

    @Test func listsShowOneKindInPages() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            for name in ["A", "B", "C"] {
                _ = try await api.root.call("PUT", TestAPI.path + "/variables/\(name)", body: "{\"value\":\"v\(name)\"}")
                _ = try await api.root.call("PUT", TestAPI.path + "/secrets/S_\(name)", body: #"{"value":"hunter2"}"#)
            }
            let variables = try await api.root.call("GET", TestAPI.path + "/variables")
            #expect(variables["items"]?.texts("name") == ["A", "B", "C"])
            #expect(variables["items"]?.texts("value") == ["vA", "vB", "vC"])
            let secrets = try await api.root.call("GET", TestAPI.path + "/secrets?limit=2")
            #expect(secrets["items"]?.texts("name") == ["S_A", "S_B"])
            #expect(!secrets.text.contains("hunter2"))
            let cursor = try #require(secrets["nextCursor"]?.text)
            let rest = try await api.root.call("GET", TestAPI.path + "/secrets?limit=2&cursor=\(cursor)")
            #expect(rest["items"]?.texts("name") == ["S_C"])
            #expect(rest["nextCursor"] == .null)
            let some = try await api.client(Grant(workspace: "acme", names: ["B", "S_*"], permissions: [.read]))
            #expect(try await some.call("GET", TestAPI.path + "/variables?limit=1")["items"]?.texts("name") == ["B"])
        }
    }

    @Test func headAnswersWithoutABody() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let written = try await api.root.call("PUT", Self.variable, body: #"{"value":"a"}"#)
            let head = try await api.root.call("HEAD", Self.variable)
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
            #expect(head.fields["content-length"] == String(written.body.count))
        }
    }

    @Test func valuesKeepEveryCharacter() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let written = #"{"value":"\"q\" \\ \/ \b\f\n\r\t é 😀 \u0001 \u2028 </script>"}"#
            let value = "\"q\" \\ / \u{8}\u{c}\n\r\t é 😀 \u{1} \u{2028} </script>"
            for path in [Self.variable, Self.secret] {
                #expect(try await api.root.call("PUT", path, body: written)["value"]?.text == value)
                #expect(try await api.root.call("GET", path)["value"]?.text == value)
            }
            let longest = String(repeating: "é", count: 32_768)
            #expect(try await api.root.call("PUT", Self.variable, body: "{\"value\":\"\(longest)\"}").status == 200)
            #expect(try await api.root.call("PUT", Self.variable, body: "{\"value\":\"\(longest)x\"}").status == 422)
            #expect(try await api.root.call("PUT", Self.variable, body: #"{"value":""}"#)["value"]?.text == "")
        }
    }
}
