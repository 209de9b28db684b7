// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

/// Every mutation of entries, sent twice under one key: done once, answered twice, and in the audit once, under its actor's name.
@Suite(.serialized) struct EntryIdempotencyTests {
    private static let requests: [(method: String, target: String, body: String?, action: String)] = [
        ("PUT", "/variables/A", #"{"value":"1"}"#, "entry.set"),
        ("PUT", "/secrets/S", #"{"value":"hunter2","note":"why"}"#, "entry.set"),
        ("PATCH", "/configuration", #"{"set":[{"name":"B","value":"1"},{"name":"C","value":"2"}]}"#, "configuration.patch"),
        ("POST", "/variables/A/disable", nil, "entry.disable"),
        ("POST", "/variables/A/enable", nil, "entry.enable"),
        ("POST", "/variables/A/rename", #"{"name":"D"}"#, "entry.rename"),
        ("POST", "/variables/D/seal", nil, "entry.seal"),
        ("PUT", "/secrets/S", #"{"value":"hunter3"}"#, "entry.set"),
        ("POST", "/secrets/S/rollback", #"{"version":1}"#, "entry.rollback"),
        ("PUT", "/configuration?format=json", #"{"B":"9","E":"1"}"#, "configuration.import"),
        ("DELETE", "/variables/C", nil, "entry.delete"),
        ("POST", "/rollback", #"{"revision":4}"#, "environment.rollback"),
        ("POST", "/promote", #"{"from":"acme/web/staging"}"#, "environment.promote"),
    ]

    @Test func everyMutationOfEntriesIsAnsweredAgain() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            _ = try await api.store.createEnvironment(workspace: "acme", project: "web", slug: "staging", actor: "root")
            let staging = "/v1/projects/acme/web/environments/staging"
            _ = try await api.root.call("PUT", staging + "/variables/STAGED", body: #"{"value":"1"}"#)
            for (number, request) in Self.requests.enumerated() {
                let key = [("Idempotency-Key", "key-\(number)")]
                let first = try await api.root.call(request.method, TestAPI.path + request.target, body: request.body, fields: key)
                #expect((200..<300).contains(first.status), "\(request.method) \(request.target): \(first.text)")
                let head = try await api.store.environment(id: environment.id).revision
                let second = try await api.root.call(request.method, TestAPI.path + request.target, body: request.body, fields: key)
                #expect(second.status == first.status, "\(request.method) \(request.target): \(second.text)")
                #expect(second.text == first.text)
                for field in ["etag", "keyvane-revision"] {
                    #expect(second.fields[field] == first.fields[field], "\(request.target) \(field)")
                }
                #expect(try await api.store.environment(id: environment.id).revision == head, "\(request.method) \(request.target)")
                let other = try await api.root.call("PUT", TestAPI.path + "/variables/OTHER", body: #"{"value":"x"}"#, fields: key)
                #expect(other["code"]?.text == "idempotency_key_reused")
            }
            let audit = try await api.root.call("GET", "/v1/workspaces/acme/audit?limit=200")
            let rows = (audit["items"]?.elements ?? []).filter { item in
                let isOther = ["secret.read", "environment.create"].contains(item["action"]?.text)
                return item["target"]?.text?.hasPrefix("acme/web/production") == true && !isOther
            }
            #expect(rows.compactMap { $0["action"]?.text } == Self.requests.map(\.action).reversed())
            #expect(rows.allSatisfy { $0["actor"]?.text == "root" && $0["requestId"]?.text != nil })
        }
    }

    @Test func aKeyThatIsNoneIsRefused() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            for keys in [[("Idempotency-Key", "")], [("Idempotency-Key", String(repeating: "k", count: 256))]] {
                let answer = try await api.root.call("PUT", TestAPI.path + "/variables/A", body: #"{"value":"1"}"#, fields: keys)
                #expect(answer.status == 400)
                #expect(answer["code"]?.text == "malformed_header")
            }
        }
    }
}
