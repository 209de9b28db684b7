// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Store
import TestSupport
import Testing

@Suite(.serialized) struct AuditTests {
    private func rows(_ client: APIClient, _ workspace: String = "acme") async throws -> [String] {
        let answer = try await client.call("GET", "/v1/workspaces/\(workspace)/audit?limit=200")
        return answer["items"]?.elements.map { "\($0["action"]?.text ?? "?") \($0["target"]?.text ?? "?")" } ?? ["\(answer.status)"]
    }

    @Test func whoDidWhatToWhatNewestFirst() async throws {
        try await withAPI { api in
            let fields = [("X-Request-Id", "r-17")]
            _ = try await api.root.call("POST", "/v1/workspaces", body: #"{"slug":"acme"}"#, fields: fields)
            _ = try await api.root.call("POST", "/v1/workspaces/acme/projects", body: #"{"slug":"web"}"#)
            _ = try await api.root.call("POST", "/v1/projects/acme/web/environments", body: #"{"slug":"production"}"#)
            _ = try await api.root.call("PUT", TestAPI.path + "/variables/production", body: #"{"value":"1"}"#)
            let grants = #"{"grants":[{"workspace":"acme","permissions":["write"]}]}"#
            let token = try await api.root.call("POST", "/v1/tokens", body: grants)
            let (id, text) = (token["id"]?.text ?? "", token["token"]?.text)
            _ = try await api.http(text).call("PUT", TestAPI.path + "/variables/A", body: #"{"value":"1"}"#)
            _ = try await api.root.call("DELETE", "/v1/tokens/\(id)")
            #expect(
                try await rows(api.root) == [
                    "token.revoke \(id)", "entry.set acme/web/production/A", "token.create \(id)",
                    "entry.set acme/web/production/production", "environment.create acme/web/production", "project.create acme/web",
                    "workspace.create acme",
                ]
            )
            let all = try await api.root.call("GET", "/v1/workspaces/acme/audit")
            let (newest, written, oldest) = (all["items"]?[0], all["items"]?[1], all["items"]?[6])
            #expect(newest?["revision"] == .null)
            #expect(written?["revision"] == .integer(2))
            #expect(written?["actor"]?.text == "token:\(id)")
            #expect(oldest?["actor"]?.text == "root")
            #expect(oldest?["requestId"]?.text == "r-17")
            #expect(oldest?["id"]?.text.flatMap { UUID(uuidString: $0) } != nil)

            var paged: [String] = []
            var target = "/v1/workspaces/acme/audit?limit=3"
            for count in [3, 3, 1] {
                let page = try await api.root.call("GET", target)
                #expect(page["items"]?.elements.count == count)
                paged += page["items"]?.texts("id") ?? []
                target = "/v1/workspaces/acme/audit?limit=3&cursor=\(page["nextCursor"]?.text ?? "none")"
            }
            #expect(paged == all["items"]?.texts("id"))
            for cursor in ["none", "1-2", "9999999999999999999-00000000-0000-0000-0000-000000000000"] {
                #expect(try await api.root.call("GET", "/v1/workspaces/acme/audit?cursor=\(cursor)").status == 422)
            }
        }
    }

    @Test func anAdministratorSeesHisPartOfIt() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            _ = try await api.store.createProject(workspace: "acme", slug: "web2", actor: "root")
            _ = try await api.root.call("PUT", TestAPI.path + "/variables/A", body: #"{"value":"1"}"#)
            let ofProject = try await api.client(Grant(workspace: "acme", project: "web", permissions: [.admin]))
            #expect(
                try await rows(ofProject) == [
                    "entry.set acme/web/production/A", "environment.create acme/web/production", "project.create acme/web",
                ]
            )
            let ofEnvironment = try await api.client(
                Grant(workspace: "acme", project: "web", environment: "production", permissions: [.admin])
            )
            #expect(try await rows(ofEnvironment) == ["entry.set acme/web/production/A", "environment.create acme/web/production"])
            let ofNames = try await api.client(Grant(workspace: "acme", names: ["A"], permissions: [.admin]))
            #expect(try await rows(ofNames) == ["403"])
            #expect(try await rows(api.root, "nowhere") == ["404"])
        }
    }

    @Test func whatWasDeletedKeepsItsAudit() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let admin = try await api.client(Grant(workspace: "acme", permissions: [.admin]))
            #expect(try await admin.call("DELETE", "/v1/workspaces/acme?force=true").status == 204)
            let expected = [
                "workspace.delete acme", "token.create", "environment.create acme/web/production", "project.create acme/web",
                "workspace.create acme",
            ]
            let found = try await rows(admin).map { $0.hasPrefix("token.") ? "token.create" : $0 }
            #expect(found == expected)
            #expect(try await admin.call("GET", "/v1/workspaces/acme").status == 404)
        }
    }

    @Test func readsOfSecretsAreRecordedWithinASecond() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            let call = try await api.client(Grant(workspace: "acme", permissions: [.read, .readSecrets, .write]))
            _ = try await api.root.call("PUT", TestAPI.path + "/secrets/S", body: #"{"value":"hunter2"}"#)
            _ = try await api.root.call("PUT", TestAPI.path + "/secrets/T", body: #"{"value":"hunter3"}"#)
            _ = try await api.root.call("PUT", TestAPI.path + "/variables/V", body: #"{"value":"1"}"#)
            let start = ContinuousClock.now
            #expect(try await call.call("GET", TestAPI.path + "/secrets/S", fields: [("X-Request-Id", "one")])["value"]?.text == "hunter2")
            #expect(try await call.call("GET", TestAPI.path + "/configuration", fields: [("X-Request-Id", "all")]).status == 200)
            _ = try await call.call("GET", TestAPI.path + "/variables/V")
            _ = try await call.call("GET", TestAPI.path + "/secrets")
            let reads = try await eventually("both reads in the audit") {
                let found = try await rows(api.root).filter { $0.hasPrefix("secret.read") }
                return found.count >= 2 ? found : nil
            }
            #expect(Set(reads) == ["secret.read acme/web/production/S", "secret.read acme/web/production/2 secrets"])
            // Generous: five processes may build on the same machine.
            #expect(start.duration(to: .now) < .seconds(10))
            #expect(environment.path.description == "acme/web/production")
        }
    }

    @Test func nothingIsReadThatCannotBeRecorded() async throws {
        try await withPostgresDatabase { database in
            // No room in the queue: each read waits for its own row.
            try await withAPI(postgres: database.url, configure: { $0.maximumAuditBytes = 0 }) { api in
                _ = try await api.seed()
                _ = try await api.root.call("PUT", TestAPI.path + "/secrets/S", body: #"{"value":"hunter2"}"#)
                #expect(try await api.root.call("GET", TestAPI.path + "/secrets/S").status == 200)
                #expect(try await rows(api.root).first == "secret.read acme/web/production/S")
                // The audit takes no more: out of a lock in this case, out of a full disk in another.
                _ = try await database.sql("ALTER TABLE keyvane.audit ADD CONSTRAINT full_up CHECK (action <> 'secret.read') NOT VALID")
                let refused = try await api.root.call("GET", TestAPI.path + "/secrets/S")
                #expect(refused.status >= 500)
                #expect(!refused.text.contains("hunter2"))
            }
        }
    }
}
