// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Notifier
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

    @Test func aTokenIsNarrowedWidenedAndProlonged() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let grants = [Grant(workspace: "acme", permissions: [.read, .write])]
            let (record, text) = try await api.store.createToken(description: "ci", grants: grants, expiresAt: nil, createdBy: "root")
            let (client, path) = (api.http(text), "/v1/tokens/\(record.id)")
            let put = #"{"value":"1"}"#
            #expect(try await client.call("PUT", TestAPI.path + "/variables/A", body: put).status == 201)
            let narrow = #"{"grants":[{"workspace":"acme","permissions":["read"]}]}"#
            let changed = try await api.root.call("PATCH", path, body: narrow)
            #expect(changed.status == 200)
            #expect(changed["description"]?.text == "ci")
            #expect(changed["token"] == nil)
            // With the next request: this process knows at once.
            #expect(try await client.call("PUT", TestAPI.path + "/variables/A", body: put).status == 403)
            let more = #"{"grants":[{"workspace":"acme","permissions":["read","write"]}],"expiresAt":"2999-01-01T00:00:00Z"}"#
            #expect(try await api.root.call("PATCH", path, body: more)["expiresAt"]?.text == "2999-01-01T00:00:00.000Z")
            #expect(try await client.call("PUT", TestAPI.path + "/variables/A", body: put).status == 200)
            #expect(try await api.root.call("PATCH", path, body: #"{"expiresAt":null}"#)["expiresAt"] == .null)
            let tag = try #require(try await api.root.call("GET", path).fields["etag"])
            #expect(try await api.root.call("GET", path, fields: [("If-None-Match", tag)]).status == 304)
            _ = try await api.root.call("PATCH", path, body: #"{"description":"x"}"#, fields: [("If-Match", tag)])
            let late = try await api.root.call("PATCH", path, body: #"{"description":"y"}"#, fields: [("If-Match", tag)])
            #expect(late.status == 412)
            #expect(late["current"]?["description"]?.text == "x")
            #expect(try await api.root.call("DELETE", path, fields: [("If-Match", tag)]).status == 412)
            for (body, pointer) in [
                (#"{"expiresAt":"2001-01-01T00:00:00Z"}"#, "/expiresAt"), (#"{"grants":[]}"#, "/grants"), (#"{"id":"x"}"#, "/id"),
                (#"{"description":1}"#, "/description"),
            ] {
                let refused = try await api.root.call("PATCH", path, body: body)
                #expect(refused.status == 422, "\(body)")
                #expect(refused["errors"]?.texts("pointer") == [pointer], "\(body)")
            }
        }
    }

    @Test func nobodyChangesMoreThanHeCouldMake() async throws {
        try await withAPI { api in
            let inside = [Grant(workspace: "acme", project: "web", permissions: [.read])]
            func make(_ grants: [Grant], _ expiry: Date? = nil) async throws -> (record: TokenRecord, text: String) {
                try await api.store.createToken(description: "", grants: grants, expiresAt: expiry, createdBy: "root")
            }
            let admin = try await api.client(Grant(workspace: "acme", project: "web", permissions: [.admin, .read]))
            let (own, foreign) = (try await make(inside).record, try await make([Grant(workspace: "acme", permissions: [.read])]).record)
            #expect(try await admin.call("PATCH", "/v1/tokens/\(own.id)", body: #"{"description":"d"}"#).status == 200)
            #expect(try await admin.call("PATCH", "/v1/tokens/\(foreign.id)", body: #"{"description":"d"}"#).status == 404)
            for grant in [
                #"{"workspace":"acme","permissions":["read"]}"#, #"{"workspace":"acme","project":"web","permissions":["write"]}"#,
            ] {
                let refused = try await admin.call("PATCH", "/v1/tokens/\(own.id)", body: "{\"grants\":[\(grant)]}")
                #expect(refused.status == 403)
                #expect(refused["errors"]?.texts("pointer") == ["/grants/0"])
            }
            // Who dies makes nobody immortal, not even by new grants; a new description hurts nobody.
            let mortal = api.http(try await make([.root], Date(timeIntervalSince1970: 32_503_680_000)).text)
            let path = "/v1/tokens/\(own.id)"
            let grants = #""grants":[{"workspace":"acme","permissions":["read"]}]"#
            for (body, status) in [
                (#"{"expiresAt":null}"#, 422), ("{\(grants)}", 422), ("{\(grants),\"expiresAt\":\"2999-01-01T00:00:00Z\"}", 200),
                ("{\(grants)}", 200), (#"{"description":"e"}"#, 200), (#"{"expiresAt":"3000-06-01T00:00:00Z"}"#, 422),
            ] {
                #expect(try await mortal.call("PATCH", path, body: body).status == status, "\(body)")
            }
        }
    }

    @Test func aChangeIsPublished() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url) { api in
                _ = try await eventually("redis") { api.redis.isConnected ? true : nil }
                let id = try await api.store.createToken(description: "", grants: [.root], expiresAt: nil, createdBy: "root").record.id
                let controls = Events<ControlMessage>()
                try await withControls(redis, controls) {
                    #expect(try await api.root.call("PATCH", "/v1/tokens/\(id)", body: #"{"description":"d"}"#).status == 200)
                    let heard = try await controls.first()
                    // No event of the log.
                    #expect(heard == .tokenChanged(tokenID: id))
                    let body = #"{"expiresAt":"2100-01-01T00:00:00Z"}"#
                    #expect(try await api.root.call("PATCH", "/v1/tokens/\(id)", body: body).status == 200)
                    let second = try await eventually("the second message") { controls.all.count > 1 ? controls.all[1] : nil }
                    #expect(second == .tokenChanged(tokenID: id, sequence: 1))
                }
            }
        }
    }

    @Test func anotherProcessesRevocationIsNoticedInASecondAtMost() async throws {
        try await withAPI { api in
            let (record, text) = try await api.store.createToken(description: "", grants: [.root], expiresAt: nil, createdBy: "root")
            let client = api.http(text)
            #expect(try await client.call("GET", "/v1/whoami").status == 200)
            // Past this process, and without Redis.
            try await api.store.revokeToken(record.id, by: "root")
            let start = ContinuousClock.now
            _ = try await eventually("the refusal") { try await client.call("GET", "/v1/whoami").status == 401 ? true : nil }
            #expect(start.duration(to: .now) < .seconds(10))
            // And at once where somebody says so.
            let (second, secondText) = try await api.store.createToken(description: "", grants: [.root], expiresAt: nil, createdBy: "root")
            #expect(try await api.http(secondText).call("GET", "/v1/whoami").status == 200)
            try await api.store.revokeToken(second.id, by: "root")
            api.service.received([.control(.tokenRevoked(tokenID: second.id), isTrusted: false)])
            #expect(try await api.http(secondText).call("GET", "/v1/whoami").status == 401)
        }
    }

    @Test func aTokenThatIsUsedOftenIsLookedUpOnceASecond() async throws {
        try await withPostgresDatabase { database in
            try await withAPI(postgres: database.url) { api in
                let client = try await api.client(.root)
                #expect(try await client.call("GET", "/v1/whoami").status == 200)
                // Behind the back of everybody: whoever looks it up finds it gone.
                @Sendable func descriptions() async throws -> (stored: String, told: String?) {
                    let text = UUID().uuidString
                    _ = try await database.sql("UPDATE keyvane.token SET description = '\(text)'")
                    return (text, try await client.call("GET", "/v1/whoami")["description"]?.text)
                }
                // On a busy machine a second may pass between two requests; not every time.
                _ = try await eventually("an answer from memory") {
                    let (stored, told) = try await descriptions()
                    return told == stored ? nil : true
                }
                let (stored, _) = try await descriptions()
                _ = try await eventually("the new description") {
                    try await client.call("GET", "/v1/whoami")["description"]?.text == stored ? true : nil
                }
            }
        }
    }

    @Test func tokensAreSearched() async throws {
        try await withAPI { api in
            let id = try await api.store.createToken(description: "Nightly CI", grants: [.root], expiresAt: nil, createdBy: "root").record
                .id
            _ = try await api.store.createToken(description: "other", grants: [.root], expiresAt: nil, createdBy: "root")
            for query in ["q=nightly", "q=\(id)"] {
                #expect(try await api.root.call("GET", "/v1/tokens?\(query)")["items"]?.texts("id") == [id])
            }
        }
    }
}
