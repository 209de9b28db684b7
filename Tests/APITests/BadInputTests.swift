// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

/// Every refusal has its status, its code, and the pointer to what is wrong; nothing is stored, and the process lives on.
@Suite(.serialized) struct BadInputTests {
    private struct Case {
        let name: String
        let method: String
        let path: String
        var body: String?
        var fields: [(String, String)] = []
        var token: String? = TestAPI.rootToken
        let status: Int
        let code: String
        var pointers: [String] = []
    }

    private static let variable = TestAPI.path + "/variables/A"
    private static let configuration = TestAPI.path + "/configuration"
    private static let longValue = String(repeating: "x", count: 65_537)
    private static let longBody = "{\"value\":\"" + String(repeating: "x", count: 1_100_000) + "\"}"

    private static let cases = [
        Case(name: "malformed-json", method: "PUT", path: variable, body: #"{"value":"#, status: 400, code: "malformed_json"),
        Case(name: "empty-body", method: "PUT", path: variable, body: "", status: 400, code: "malformed_json"),
        Case(
            name: "repeated-member",
            method: "PUT",
            path: variable,
            body: #"{"value":"a","value":"b"}"#,
            status: 400,
            code: "malformed_json"
        ),
        Case(name: "lone-surrogate", method: "PUT", path: variable, body: #"{"value":"\ud83d"}"#, status: 400, code: "malformed_json"),
        Case(
            name: "unknown-and-missing-fields",
            method: "PUT",
            path: variable,
            body: #"{"colour":"red","a/b~":1}"#,
            status: 422,
            code: "invalid_body",
            pointers: ["/colour", "/a~1b~0", "/value"]
        ),
        Case(
            name: "wrong-type",
            method: "PUT",
            path: variable,
            body: #"{"value":5,"note":[]}"#,
            status: 422,
            code: "invalid_body",
            pointers: ["/value", "/note"]
        ),
        Case(
            name: "not-an-object",
            method: "PUT",
            path: variable,
            body: "[]",
            status: 422,
            code: "invalid_body",
            pointers: [""]
        ),
        Case(
            name: "long-value",
            method: "PUT",
            path: variable,
            body: "{\"value\":\"\(longValue)\"}",
            status: 422,
            code: "invalid_body",
            pointers: ["/value"]
        ),
        Case(
            name: "nul-value",
            method: "PUT",
            path: variable,
            body: #"{"value":"a\u0000b"}"#,
            status: 422,
            code: "invalid_body",
            pointers: ["/value"]
        ),
        Case(
            name: "bad-name",
            method: "PUT",
            path: TestAPI.path + "/variables/1A",
            body: #"{"value":"a"}"#,
            status: 422,
            code: "invalid_name"
        ),
        Case(name: "bad-name-read", method: "GET", path: TestAPI.path + "/variables/%00", status: 404, code: "not_found"),
        Case(
            name: "bad-slug",
            method: "POST",
            path: "/v1/workspaces",
            body: #"{"slug":"No Such Slug","name":""}"#,
            status: 422,
            code: "invalid_body",
            pointers: ["/slug", "/name"]
        ),
        Case(name: "slug-taken", method: "POST", path: "/v1/workspaces", body: #"{"slug":"acme"}"#, status: 409, code: "already_exists"),
        Case(
            name: "bad-patch",
            method: "PATCH",
            path: configuration,
            body: #"{"set":[{"name":"A","value":"1"},{"name":"B C","value":2,"x":0},7],"delete":["ok","-",{}]}"#,
            status: 422,
            code: "invalid_body",
            pointers: ["/set/1/x", "/set/1/name", "/set/1/value", "/set/2", "/delete/1", "/delete/2"]
        ),
        Case(name: "oversized-body", method: "PUT", path: variable, body: longBody, status: 413, code: "body_too_large"),
        Case(
            name: "unknown-parameter",
            method: "GET",
            path: TestAPI.path + "/variables?limits=1",
            status: 400,
            code: "unknown_parameter",
            pointers: ["?limits"]
        ),
        Case(
            name: "bad-limit",
            method: "GET",
            path: TestAPI.path + "/variables?limit=201",
            status: 422,
            code: "invalid_parameter",
            pointers: ["?limit"]
        ),
        Case(
            name: "negative-limit",
            method: "GET",
            path: TestAPI.path + "/variables?limit=-1",
            status: 422,
            code: "invalid_parameter",
            pointers: ["?limit"]
        ),
        Case(
            name: "repeated-parameter",
            method: "GET",
            path: "/v1/tokens?limit=1&limit=2",
            status: 422,
            code: "invalid_parameter",
            pointers: ["?limit"]
        ),
        Case(name: "bad-percent", method: "GET", path: "/v1/tokens?limit=%zz", status: 400, code: "malformed_request"),
        Case(
            name: "bad-since",
            method: "GET",
            path: TestAPI.path + "/changes?since=57-xyz",
            status: 422,
            code: "invalid_parameter",
            pointers: ["?since"]
        ),
        Case(
            name: "long-wait",
            method: "GET",
            path: TestAPI.path + "/changes?wait=56",
            status: 422,
            code: "invalid_parameter",
            pointers: ["?wait"]
        ),
        Case(
            name: "bad-names",
            method: "GET",
            path: configuration + "?names=A,,B",
            status: 422,
            code: "invalid_parameter",
            pointers: ["?names"]
        ),
        Case(name: "since-too-old", method: "GET", path: TestAPI.path + "/changes?since=99", status: 410, code: "since_too_old"),
        Case(name: "no-token", method: "GET", path: variable, token: nil, status: 401, code: "missing_token"),
        Case(
            name: "wrong-token",
            method: "GET",
            path: variable,
            token: "kv_00000000_" + String(repeating: "A", count: 43),
            status: 401,
            code: "invalid_token"
        ),
        Case(name: "unknown-path", method: "GET", path: "/v1/nothing", status: 404, code: "not_found"),
        Case(name: "unknown-path-without-token", method: "POST", path: "/", token: nil, status: 404, code: "not_found"),
        Case(
            name: "unknown-environment",
            method: "PUT",
            path: "/v1/projects/acme/web/environments/nowhere/variables/A",
            body: #"{"value":"a"}"#,
            status: 404,
            code: "not_found"
        ),
        Case(name: "wrong-method", method: "POST", path: variable, body: "{}", status: 405, code: "method_not_allowed"),
        Case(name: "strange-method", method: "PURGE", path: "/v1/whoami", status: 405, code: "method_not_allowed"),
        Case(
            name: "bad-tag",
            method: "PUT",
            path: variable,
            body: #"{"value":"a"}"#,
            fields: [("If-Match", "1")],
            status: 400,
            code: "malformed_header"
        ),
        Case(
            name: "kind-conflict",
            method: "PUT",
            path: TestAPI.path + "/secrets/KEPT",
            body: #"{"value":"a"}"#,
            status: 409,
            code: "kind_conflict"
        ),
        Case(
            name: "precondition",
            method: "PUT",
            path: TestAPI.path + "/variables/KEPT",
            body: #"{"value":"a"}"#,
            fields: [("If-Match", "\"7\"")],
            status: 412,
            code: "precondition_failed"
        ),
        Case(name: "no-redis", method: "GET", path: "/v1/instances", status: 503, code: "unavailable"),
    ]

    @Test func everyKindGetsItsErrorAndNothingIsStored() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            _ = try await api.root.call("PUT", TestAPI.path + "/variables/KEPT", body: #"{"value":"as it was"}"#)
            for item in Self.cases {
                let answer = try await api.http(item.token).call(item.method, item.path, body: item.body, fields: item.fields)
                #expect(answer.status == item.status, "\(item.name)")
                #expect(answer["code"]?.text == item.code, "\(item.name)")
                #expect(answer.fields["content-type"] == "application/problem+json", "\(item.name)")
                #expect(answer.fields["x-request-id"] != nil, "\(item.name)")
                #expect((answer["errors"]?.texts("pointer") ?? []).sorted() == item.pointers.sorted(), "\(item.name)")
                try Golden.expect(answer, item.name)
            }
            let snapshot = try await api.store.snapshot(environmentID: environment.id)
            #expect(snapshot.revision == 1)
            #expect(snapshot.entries.map(\.name) == ["KEPT"])
            #expect(try await api.store.workspaces(PageRequest()).items.map(\.slug) == ["acme"])
        }
    }
}
