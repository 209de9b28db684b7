// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

/// What a token sees is exactly what its grants say: 404 for what it may not know of, 403 where it may.
@Suite(.serialized) struct GrantTests {
    private struct Route {
        let method: String
        let path: String
        var body: String?
        var fields: [(String, String)] = []
    }

    private static let environment = TestAPI.path
    private static let routes = [
        Route(method: "GET", path: "/v1/workspaces"),
        Route(method: "POST", path: "/v1/workspaces", body: #"{"slug":"acme"}"#),
        Route(method: "GET", path: "/v1/workspaces/acme"),
        Route(method: "GET", path: "/v1/workspaces/acme/projects"),
        Route(method: "POST", path: "/v1/workspaces/acme/projects", body: #"{"slug":"web"}"#),
        Route(method: "GET", path: "/v1/projects/acme/web"),
        Route(method: "GET", path: "/v1/projects/acme/web/environments"),
        Route(method: "POST", path: "/v1/projects/acme/web/environments", body: #"{"slug":"production"}"#),
        Route(method: "GET", path: environment),
        Route(method: "GET", path: environment + "/variables"),
        Route(method: "GET", path: environment + "/variables/APP_A"),
        Route(method: "PUT", path: environment + "/variables/APP_A", body: #"{"value":"1"}"#),
        Route(method: "GET", path: environment + "/secrets"),
        Route(method: "GET", path: environment + "/secrets/APP_S"),
        Route(method: "PUT", path: environment + "/secrets/APP_S", body: #"{"value":"hunter2"}"#),
        Route(method: "DELETE", path: environment + "/variables/GONE"),
        Route(method: "GET", path: environment + "/configuration"),
        Route(method: "PATCH", path: environment + "/configuration", body: #"{"set":[{"name":"APP_A","value":"1"}]}"#),
        Route(method: "GET", path: environment + "/changes"),
        Route(method: "GET", path: "/v1/tokens"),
        Route(method: "GET", path: "/v1/tokens/00000000"),
        Route(method: "DELETE", path: "/v1/tokens/00000000"),
        Route(method: "GET", path: "/v1/whoami"),
        Route(method: "GET", path: "/v1/instances"),
        // The hierarchy's changes; deletions that would come about are stopped by what is in the place, or by its tag.
        Route(method: "PATCH", path: "/v1/workspaces/acme", body: "{}"),
        Route(method: "DELETE", path: "/v1/workspaces/acme"),
        Route(method: "PATCH", path: "/v1/projects/acme/web", body: "{}"),
        Route(method: "DELETE", path: "/v1/projects/acme/web"),
        Route(method: "PATCH", path: environment, body: "{}"),
        Route(method: "DELETE", path: environment, fields: [("If-Match", "\"0.0\"")]),
        Route(method: "PATCH", path: "/v1/tokens/00000000", body: "{}"),
        Route(method: "POST", path: "/v1/connect-tokens", body: #"{"ttl":60}"#),
        Route(method: "GET", path: "/v1/workspaces/acme/audit"),
        Route(method: "GET", path: "/v1/workspaces/*/audit"),
        Route(method: "POST", path: "/v1/instances/gateway-1/drain"),
        Route(method: "POST", path: "/v1/instances/gateway-1/ready"),
    ]

    /// One column a kind of holder, statuses in the order of the routes. 409 is a creation that was allowed, of what exists, or a deletion of
    /// what isn't empty; 412 a deletion of another version; 503 a look at instances, or a wish to one, that was allowed, without Redis.
    private static let table: [(holder: String, grants: [Grant], statuses: [Int])] = [
        (
            "root", [.root],
            [
                200, 409, 200, 200, 409, 200, 200, 409, 200, 200, 200, 200, 200, 200, 200, 404, 200, 200, 200, 200, 404, 404, 200, 503,
                200, 409, 200, 409, 200, 412, 404, 201, 200, 200, 503, 503,
            ]
        ),
        (
            "reader of the environment",
            [Grant(workspace: "acme", project: "web", environment: "production", permissions: [.read])],
            [
                200, 403, 200, 200, 403, 200, 200, 403, 200, 200, 200, 403, 200, 200, 403, 403, 200, 403, 200, 403, 403, 403, 200, 403,
                403, 403, 403, 403, 403, 403, 403, 201, 403, 403, 403, 403,
            ]
        ),
        (
            "writer of the workspace",
            [Grant(workspace: "acme", permissions: [.write])],
            [
                403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 200, 403, 403, 200, 404, 403, 200, 403, 403, 403, 403, 200, 403,
                403, 403, 403, 403, 403, 403, 403, 201, 403, 403, 403, 403,
            ]
        ),
        (
            "administrator of the project",
            [Grant(workspace: "acme", project: "web", permissions: [.admin])],
            [
                200, 403, 200, 200, 403, 200, 200, 409, 200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 200, 404, 404, 200, 403,
                403, 403, 200, 409, 200, 412, 404, 201, 200, 403, 403, 403,
            ]
        ),
        (
            "reader and writer of other names",
            [Grant(workspace: "acme", project: "web", names: ["OTHER_*"], permissions: [.read, .write])],
            [
                200, 403, 200, 200, 403, 200, 200, 403, 200, 200, 404, 404, 200, 404, 404, 404, 200, 403, 200, 403, 403, 403, 200, 403,
                403, 403, 403, 403, 403, 403, 403, 201, 403, 403, 403, 403,
            ]
        ),
        (
            "everything in another environment",
            [Grant(workspace: "acme", project: "web", environment: "staging", permissions: Set(Permission.allCases))],
            [
                200, 403, 200, 200, 403, 200, 200, 403, 404, 404, 404, 404, 404, 404, 404, 404, 404, 404, 404, 200, 404, 404, 200, 403,
                403, 403, 403, 403, 404, 404, 404, 201, 200, 403, 403, 403,
            ]
        ),
        (
            "everything in another workspace",
            [Grant(workspace: "other", permissions: Set(Permission.allCases))],
            [
                200, 403, 404, 404, 404, 404, 404, 404, 404, 404, 404, 404, 404, 404, 404, 404, 404, 404, 404, 200, 404, 404, 200, 403,
                404, 404, 404, 404, 404, 404, 404, 201, 404, 403, 403, 403,
            ]
        ),
    ]

    @Test func everyHolderGetsOfEveryRouteWhatHisGrantsSay() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let seeds = #"{"set":[{"name":"APP_A","value":"1"},{"name":"APP_S","value":"hunter2","isSecret":true}]}"#
            _ = try await api.root.call("PATCH", Self.environment + "/configuration", body: seeds)
            for row in Self.table {
                #expect(row.statuses.count == Self.routes.count)
                let client = row.grants == [.root] ? api.root : api.http(try await token(api, row.grants))
                for (route, status) in zip(Self.routes, row.statuses) {
                    let answer = try await client.call(route.method, route.path, body: route.body, fields: route.fields)
                    #expect(answer.status == status, "\(row.holder): \(route.method) \(route.path)")
                    if row.grants.allSatisfy({ !$0.permissions.contains(.readSecrets) }), !["PUT", "PATCH"].contains(route.method) {
                        #expect(!answer.text.contains("hunter2"), "\(row.holder): \(route.method) \(route.path)")
                    }
                }
            }
        }
    }

    @Test func whatMayNotBeKnownAnswersAsWhatDoesNotExist() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            _ = try await api.root.call("PUT", Self.environment + "/variables/APP_A", body: #"{"value":"1"}"#)
            let stranger = try await api.client(Grant(workspace: "other", permissions: Set(Permission.allCases)))
            let nowhere = try await api.root.call("GET", "/v1/projects/acme/web/environments/nowhere/variables/APP_A")
            let hidden = try await stranger.call("GET", Self.environment + "/variables/APP_A")
            #expect(hidden.status == 404)
            #expect(hidden.text == nowhere.text)
            let narrow = try await api.client(Grant(workspace: "acme", names: ["X"], permissions: [.read]))
            let present = try await narrow.call("GET", Self.environment + "/variables/APP_A")
            let absent = try await narrow.call("GET", Self.environment + "/variables/APP_NONE")
            #expect(present.text == absent.text)
        }
    }

    @Test func secretsAreInNoAnswerWithoutReadSecrets() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let client = try await api.client(Grant(workspace: "acme", permissions: [.read, .write]))
            let path = Self.environment + "/secrets/S"
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read]))
            try Golden.expect(try await reader.call("PUT", path, body: #"{"value":"hunter2"}"#), "not-granted")
            let put = try await client.call("PUT", path, body: #"{"value":"hunter2"}"#)
            #expect(put.status == 201)
            #expect(put["value"] == .null)
            let body = #"{"set":[{"name":"S","value":"hunter2b"},{"name":"T","value":"hunter2","isSecret":true}]}"#
            let patched = try await client.call("PATCH", Self.environment + "/configuration", body: body)
            #expect(patched["changes"]?[0]?["value"] == .null)
            let refused = try await client.call("PUT", path, body: #"{"value":"x"}"#, fields: [("If-Match", "\"9\"")])
            #expect(refused["current"]?["value"] == .null)
            let clash = try await client.call("PUT", Self.environment + "/variables/S", body: #"{"value":"x"}"#)
            var answers = [put, patched, refused, clash]
            for target in ["/secrets", "/secrets/S", "/secrets/T", "/configuration", "/changes", "/variables"] {
                answers.append(try await client.call("GET", Self.environment + target))
            }
            for answer in answers {
                #expect(!answer.text.contains("hunter2"))
                #expect(!answer.text.contains("sealed:"))
            }
            let trusted = try await api.client(Grant(workspace: "acme", permissions: [.readSecrets]))
            #expect(try await trusted.call("GET", path)["value"]?.text == "hunter2b")
        }
    }

    private func token(_ api: TestAPI, _ grants: [Grant]) async throws -> String {
        try await api.store.createToken(description: "", grants: grants, expiresAt: nil, createdBy: "root").text
    }
}
