// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Store
import TestSupport
import Testing

@Suite(.serialized) struct TokenTests {
    @Test func aTokenIsMadeShownOnceUsedAndRevoked() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let body =
                #"{"description":"ci","grants":[{"workspace":"acme","project":"web","names":["APP_*"],"permissions":["write","read"]}],"#
                + #""expiresAt":"2999-01-31T12:00:00.5+01:00"}"#
            let made = try await api.root.call("POST", "/v1/tokens", body: body)
            #expect(made.status == 201)
            #expect(made.fields["cache-control"] == "no-store")
            let id = try #require(made["id"]?.text)
            #expect(made.fields["location"] == "/v1/tokens/\(id)")
            let text = try #require(made["token"]?.text)
            #expect(text.wholeMatch(of: #/kv_[a-z0-9]{8}_[A-Za-z0-9_-]{43}/#) != nil)
            #expect(made["expiresAt"]?.text == "2999-01-31T11:00:00.500Z")
            let grants = #""grants":[{"workspace":"acme","project":"web","names":["APP_*"],"permissions":["read","write"]}]"#
            #expect(made.text.contains(grants))

            let client = api.http(text)
            let whoami = try await client.call("GET", "/v1/whoami")
            #expect(whoami.status == 200)
            #expect(whoami["id"]?.text == id)
            #expect(!whoami.text.contains(text))
            let put = try await client.call("PUT", TestAPI.path + "/variables/APP_A", body: #"{"value":"1"}"#)
            #expect(put["updatedBy"]?.text == "token:\(id)")

            let read = try await api.root.call("GET", "/v1/tokens/\(id)")
            #expect(read["description"]?.text == "ci")
            #expect(read["token"] == nil)
            #expect(try await api.root.call("GET", "/v1/tokens")["items"]?.texts("id").contains(id) == true)
            #expect(try await api.root.call("DELETE", "/v1/tokens/\(id)").status == 204)
            #expect(try await api.root.call("DELETE", "/v1/tokens/\(id)").status == 404)
            let refused = try await client.call("GET", "/v1/whoami")
            #expect(refused.status == 401)
            #expect(refused["code"]?.text == "invalid_token")
        }
    }

    @Test func headersOfBothKindsCarryIt() async throws {
        try await withAPI { api in
            let nobody = api.http(nil)
            let fields = [
                ("x-keyshade-token", TestAPI.rootToken), ("Authorization", "bearer \(TestAPI.rootToken)"),
                ("authorization", "Bearer  \(TestAPI.rootToken)"),
            ]
            for field in fields {
                #expect(try await nobody.call("GET", "/v1/whoami", fields: [field]).status == 200, "\(field.0)")
            }
            let wrong = [
                ("Authorization", "Basic cm9vdDpyb290"), ("Authorization", "Bearer"), ("Authorization", TestAPI.rootToken),
                ("x-keyshade-token", ""), ("Authorization", "Bearer " + String(repeating: "x", count: 5_000)),
                ("Authorization", "Bearer kv_00000000_" + String(repeating: "A", count: 43)),
            ]
            for field in wrong {
                let answer = try await nobody.call("GET", "/v1/whoami", fields: [field])
                #expect(answer.status == 401, "\(field)")
                #expect(answer.fields["www-authenticate"]?.hasPrefix("Bearer realm=\"keyvane\"") == true)
            }
        }
    }

    @Test func nobodyGrantsMoreThanHeHas() async throws {
        try await withAPI { api in
            let admin = try await api.client(
                Grant(workspace: "acme", project: "web", permissions: [.admin, .read]),
                Grant(workspace: "acme", project: "web", names: ["APP_*"], permissions: [.write])
            )
            let allowed = [
                #"{"workspace":"acme","project":"web","permissions":["read","admin"]}"#,
                #"{"workspace":"acme","project":"web","environment":"production","permissions":["read"]}"#,
                #"{"workspace":"acme","project":"web","names":["APP_*"],"permissions":["write"]}"#,
                #"{"workspace":"acme","project":"web","names":["APP_X","APP_*"],"permissions":["read","write"]}"#,
            ]
            let refused = [
                #"{"workspace":"*","permissions":["read"]}"#,
                #"{"workspace":"acme","permissions":["read"]}"#,
                #"{"workspace":"acme","project":"web","permissions":["read_secrets"]}"#,
                #"{"workspace":"acme","project":"web","permissions":["write"]}"#,
                #"{"workspace":"acme","project":"web","names":["*"],"permissions":["write"]}"#,
                #"{"workspace":"acme","project":"web","names":["AP*"],"permissions":["write"]}"#,
                #"{"workspace":"acme","project":"api","permissions":["read"]}"#,
            ]
            for grant in allowed {
                #expect(try await admin.call("POST", "/v1/tokens", body: "{\"grants\":[\(grant)]}").status == 201, "\(grant)")
            }
            for grant in refused {
                let answer = try await admin.call("POST", "/v1/tokens", body: "{\"grants\":[\(allowed[0]),\(grant)]}")
                #expect(answer.status == 403, "\(grant)")
                #expect(answer["errors"]?.texts("pointer") == ["/grants/1"])
            }
            // An administrator sees and revokes what lies within his grants, and nothing else.
            let wide = try await api.store.createToken(description: "", grants: [.root], expiresAt: nil, createdBy: "root").record
            #expect(try await admin.call("GET", "/v1/tokens/\(wide.id)").status == 404)
            #expect(try await admin.call("DELETE", "/v1/tokens/\(wide.id)").status == 404)
            let ids = try await admin.call("GET", "/v1/tokens")["items"]?.texts("id") ?? []
            #expect(!ids.contains(wide.id))
            // His own is among them.
            #expect(ids.count == allowed.count + 1)
        }
    }

    @Test func nobodyOutlivesHimself() async throws {
        try await withAPI { api in
            let expiry = Date(timeIntervalSince1970: 32_503_680_000)
            let text = try await api.store.createToken(description: "", grants: [.root], expiresAt: expiry, createdBy: "root").text
            let mortal = api.http(text)
            let grants = #""grants":[{"workspace":"acme","permissions":["read"]}]"#
            for (body, status) in [
                ("{\(grants)}", 422), ("{\(grants),\"expiresAt\":null}", 422), ("{\(grants),\"expiresAt\":\"3000-06-01T00:00:00Z\"}", 422),
                ("{\(grants),\"expiresAt\":\"2999-12-31T00:00:00Z\"}", 201), ("{\(grants),\"expiresAt\":\"2001-01-01T00:00:00Z\"}", 422),
                ("{\(grants),\"expiresAt\":\"tomorrow\"}", 422),
            ] {
                let answer = try await mortal.call("POST", "/v1/tokens", body: body)
                #expect(answer.status == status, "\(body)")
                if status == 422 { #expect(answer["errors"]?.texts("pointer") == ["/expiresAt"]) }
            }
        }
    }

    @Test func aTokensOwnFaultsAreNamed() async throws {
        try await withAPI { api in
            let cases: [(body: String, pointers: [String])] = [
                ("{}", ["/grants"]),
                (#"{"grants":[]}"#, ["/grants"]),
                (#"{"grants":"all"}"#, ["/grants"]),
                (#"{"grants":[1]}"#, ["/grants/0"]),
                (#"{"grants":[{}]}"#, ["/grants/0/workspace"]),
                (#"{"grants":[{"workspace":"acme"}]}"#, ["/grants/0/permissions"]),
                (#"{"grants":[{"workspace":"acme","permissions":["read","own"],"x":1}]}"#, ["/grants/0/x", "/grants/0/permissions/1"]),
                (#"{"grants":[{"workspace":"No","permissions":["read"]}]}"#, ["/grants/0/workspace"]),
                (#"{"grants":[{"workspace":"acme","environment":"e","permissions":["read"]}]}"#, ["/grants/0/project"]),
                (#"{"grants":[{"workspace":"acme","names":["a b"],"permissions":["read"]}]}"#, ["/grants/0/names/0"]),
                (#"{"grants":[{"workspace":"acme","names":[],"permissions":["read"]}]}"#, ["/grants/0/names"]),
            ]
            for item in cases {
                let answer = try await api.root.call("POST", "/v1/tokens", body: item.body)
                #expect(answer.status == 422, "\(item.body)")
                #expect(Set(answer["errors"]?.texts("pointer") ?? []) == Set(item.pointers), "\(item.body)")
            }
        }
    }
}
