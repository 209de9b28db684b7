// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

/// Every route, walked by those who may do nothing. `OpenAPITests` holds the list of routes to the document.
@Suite struct DefaultDenyTests {
    /// What anybody may ask: it tells of this process, and of nobody's configuration.
    private static let open: Set = [
        "GET /livez", "GET /readyz", "GET /health", "GET /api/v1/health", "GET /api/health", "GET /metrics",
        "GET /openapi.yaml", "GET /console", "GET /console/{folder}/{file}",
    ]
    /// What any token may do for itself: see who it is and what it may see, which here is nothing, and make what is no wider than itself.
    private static let own: Set = ["GET /v1/whoami", "GET /v1/workspaces", "GET /v1/tokens", "POST /v1/tokens", "POST /v1/connect-tokens"]

    private static func path(_ pattern: String, tokenID: String) -> String {
        // Each of these exists, so that it is the token that decides.
        let values = [
            "{w}": "acme", "{p}": "web", "{e}": "production", "{project}": "web", "{environment}": "production", "{id}": tokenID,
            "{folder}": "app", "{file}": "main.js",
        ]
        let parts = pattern.split(separator: "/", omittingEmptySubsequences: false).map { part in
            if part == "{name}" { return pattern.contains("/instances/") ? "api-1" : pattern.contains("/secrets/") ? "API_KEY" : "DB_HOST" }
            return values[String(part)] ?? String(part)
        }
        return parts.joined(separator: "/")
    }

    private func ask(_ client: APIClient, _ method: String, _ path: String) async throws -> PlainAnswer {
        try await client.call(method, path, body: method == "GET" ? nil : "{}")
    }

    @Test func nothingIsAnsweredWithoutAToken() async throws {
        try await withAPI(logins: LoginGuard(rate: 1_000_000)) { api in
            _ = try await api.seed()
            for kind in ["variables/DB_HOST", "secrets/API_KEY"] {
                #expect(try await api.root.call("PUT", "\(TestAPI.path)/\(kind)", body: "{\"value\":\"x\"}").status == 201)
            }
            let other = try await api.store.createToken(
                description: "",
                grants: [Grant(workspace: "elsewhere", permissions: [.read, .readSecrets, .write, .admin])],
                expiresAt: nil,
                createdBy: "root"
            )
            let target = try await api.store.createToken(
                description: "",
                grants: [Grant(workspace: "acme", permissions: [.read])],
                expiresAt: nil,
                createdBy: "root"
            )
            let routes = api.service.routePaths
            #expect(routes.count > 50)
            #expect(Self.open.union(Self.own).subtracting(routes.map { "\($0.method) \($0.path)" }).isEmpty)
            for (method, pattern) in routes {
                let name = "\(method) \(pattern)"
                let path = Self.path(pattern, tokenID: target.record.id)
                let nobody = try await ask(api.http(nil), method, path)
                guard !Self.open.contains(name) else {
                    #expect(nobody.status == 200 || nobody.status == 503, "\(name)")
                    continue
                }
                #expect(nobody.status == 401 && nobody["code"]?.text == "missing_token", "\(name): \(nobody.status) \(nobody.text)")
                let wrong = try await ask(api.http("kv_ab12cd34_\(String(repeating: "x", count: 43))"), method, path)
                #expect(wrong.status == 401 && wrong["code"]?.text == "invalid_token", "\(name): \(wrong.status) \(wrong.text)")
                let stranger = try await ask(api.http(other.text), method, path)
                if Self.own.contains(name) {
                    #expect([200, 422].contains(stranger.status) && !stranger.text.contains("acme"), "\(name): \(stranger.text)")
                } else {
                    #expect([403, 404].contains(stranger.status), "\(name): \(stranger.status) \(stranger.text)")
                }
            }
            let wider = "{\"grants\":[{\"workspace\":\"acme\",\"permissions\":[\"read\"]}],\"ttl\":60}"
            for path in ["/v1/tokens", "/v1/connect-tokens"] {
                let body = path == "/v1/tokens" ? wider.replacing(",\"ttl\":60", with: "") : wider
                let answer = try await api.http(other.text).call("POST", path, body: body)
                #expect(
                    [403, 404, 422].contains(answer.status) && !answer.text.contains("kv_"),
                    "\(path): \(answer.status) \(answer.text)"
                )
            }
            // And nothing of all that has changed anything.
            let entries = try await api.root.call("GET", "\(TestAPI.path)/configuration")
            #expect(entries.text.contains("\"revision\":2") && entries.text.contains("DB_HOST") && entries.text.contains("API_KEY"))
            #expect(try await api.http(target.text).call("GET", "/v1/whoami").status == 200)
        }
    }
    /// A balancer answers `/metrics` itself. Paths that only the router took for the same one got past it.
    @Test func aPathIsOnePathOnly() async throws {
        try await withAPI { api in
            for path in [
                "//metrics", "/metrics/", "/metrics//", "///metrics", "/v1//whoami", "//v1/whoami", "/v1/whoami/", "//console",
                "/console//",
                "/console/app//main.js", "/console/app/main.js/", "/openapi.yaml/", "/livez/", "//",
            ] {
                let answer = try await api.root.call("GET", path)
                #expect(answer.status == 404 && answer["code"]?.text == "not_found", "\(path): \(answer.status)")
            }
            for path in ["/metrics", "/v1/whoami", "/console", "/console/", "/health/", "/console/app/main.js", "/openapi.yaml"] {
                let answer = try await api.root.call("GET", path)
                // Without Redis and on a busy machine health may be bad; it is there all the same.
                #expect(answer.status == 200 || answer.status == 503, "\(path): \(answer.status)")
            }
        }
    }
}
