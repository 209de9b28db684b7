// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Store
import TestSupport
import Testing

/// The same request under the same key gets the first answer, whatever it asked for and whatever has become of it.
@Suite(.serialized) struct IdempotencyTests {
    private func key(_ text: String) -> [(String, String)] { [("Idempotency-Key", text)] }

    @Test func everyMutationOfTheHierarchyIsAnsweredAgain() async throws {
        try await withAPI { api in
            let steps: [(method: String, path: String, body: String?)] = [
                ("POST", "/v1/workspaces", #"{"slug":"acme","name":"Acme"}"#),
                ("POST", "/v1/workspaces/acme/projects", #"{"slug":"web"}"#),
                ("POST", "/v1/projects/acme/web/environments", #"{"slug":"production"}"#),
                ("PATCH", "/v1/workspaces/acme", #"{"description":"d"}"#),
                ("PATCH", "/v1/projects/acme/web", #"{"name":"Web"}"#),
                ("PATCH", TestAPI.path, #"{"name":"Live"}"#),
                ("DELETE", TestAPI.path, nil),
                ("DELETE", "/v1/projects/acme/web", nil),
                ("DELETE", "/v1/workspaces/acme?force=true", nil),
            ]
            var answers: [PlainAnswer] = []
            for (number, step) in steps.enumerated() {
                let answer = try await api.root.call(step.method, step.path, body: step.body, fields: key("k\(number)"))
                #expect([200, 201, 204].contains(answer.status), "\(step.method) \(step.path)")
                answers.append(answer)
            }
            for (number, step) in steps.enumerated() {
                let again = try await api.root.call(step.method, step.path, body: step.body, fields: key("k\(number)"))
                #expect(again.status == answers[number].status, "\(step.method) \(step.path)")
                #expect(again.text == answers[number].text)
                #expect(again.fields["etag"] == answers[number].fields["etag"])
                #expect(again.fields["location"] == answers[number].fields["location"])
                let other = try await api.root.call(step.method, step.path, body: #"{"slug":"x"}"#, fields: key("k\(number)"))
                #expect(other.status == 422)
            }
            #expect(try await api.root.call("GET", "/v1/workspaces/acme").status == 404)
            let audit = try await api.root.call("GET", "/v1/workspaces/acme/audit")
            #expect(audit["items"]?.elements.count == steps.count)
        }
    }

    @Test func aNewTokensTextComesAgainToWhoeverMayHaveIt() async throws {
        try await withAPI { api in
            let body = #"{"grants":[{"workspace":"acme","permissions":["read"]}]}"#
            let first = try await api.root.call("POST", "/v1/tokens", body: body, fields: key("t"))
            let again = try await api.root.call("POST", "/v1/tokens", body: body, fields: key("t"))
            #expect(first.status == 201)
            #expect(again.text == first.text)
            #expect(try await api.http(again["token"]?.text).call("GET", "/v1/whoami").status == 200)
            let reused = try await api.root.call("POST", "/v1/tokens", body: body + " ", fields: key("t"))
            #expect(reused.status == 422)
            #expect(reused["code"]?.text == "idempotency_key_reused")
            // The key is this token's only.
            let admin = try await api.client(Grant(workspace: "acme", permissions: [.admin, .read]))
            #expect(try await admin.call("POST", "/v1/tokens", body: body, fields: key("t"))["token"]?.text != first["token"]?.text)
        }
    }

    @Test func aTokensChangeAndItsEndAreAnsweredAgain() async throws {
        try await withAPI { api in
            let id = try await api.store.createToken(description: "", grants: [.root], expiresAt: nil, createdBy: "root").record.id
            let change = #"{"description":"d"}"#
            let first = try await api.root.call("PATCH", "/v1/tokens/\(id)", body: change, fields: key("c"))
            #expect(first.status == 200)
            _ = try await api.root.call("PATCH", "/v1/tokens/\(id)", body: #"{"description":"e"}"#)
            #expect(try await api.root.call("DELETE", "/v1/tokens/\(id)", fields: key("d")).status == 204)
            #expect(try await api.root.call("DELETE", "/v1/tokens/\(id)", fields: key("d")).status == 204)
            #expect(try await api.root.call("DELETE", "/v1/tokens/\(id)").status == 404)
            let again = try await api.root.call("PATCH", "/v1/tokens/\(id)", body: change, fields: key("c"))
            #expect(again.text == first.text)
            let connect = try await api.root.call("POST", "/v1/connect-tokens", body: #"{"ttl":60}"#, fields: key("j"))
            #expect(connect.status == 201)
            #expect(try await api.root.call("POST", "/v1/connect-tokens", body: #"{"ttl":60}"#, fields: key("j")).text == connect.text)
            #expect(try await api.root.call("POST", "/v1/connect-tokens", body: #"{"ttl":61}"#, fields: key("j")).status == 422)
        }
    }

    @Test func whoLostHisGrantGetsNoAnswerAgain() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let grants = [Grant(workspace: "acme", permissions: [.admin])]
            let (record, text) = try await api.store.createToken(description: "", grants: grants, expiresAt: nil, createdBy: "root")
            let admin = api.http(text)
            let body = #"{"name":"Live"}"#
            #expect(try await admin.call("PATCH", TestAPI.path, body: body, fields: key("k")).status == 200)
            let less = #"{"grants":[{"workspace":"acme","permissions":["read"]}]}"#
            #expect(try await api.root.call("PATCH", "/v1/tokens/\(record.id)", body: less).status == 200)
            #expect(try await admin.call("PATCH", TestAPI.path, body: body, fields: key("k")).status == 403)
            #expect(try await api.root.call("DELETE", "/v1/tokens/\(record.id)").status == 204)
            #expect(try await admin.call("PATCH", TestAPI.path, body: body, fields: key("k")).status == 401)
        }
    }

    @Test func aRefusalIsForgotten() async throws {
        try await withAPI { api in
            let project = #"{"slug":"web"}"#
            #expect(try await api.root.call("POST", "/v1/workspaces/acme/projects", body: project, fields: key("k")).status == 404)
            _ = try await api.store.createWorkspace(slug: "acme", actor: "root")
            #expect(try await api.root.call("POST", "/v1/workspaces/acme/projects", body: project, fields: key("k")).status == 201)
        }
    }
}
