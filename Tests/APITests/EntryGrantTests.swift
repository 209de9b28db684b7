// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

/// Everything that can be done with entries, by everybody: `GrantTests` for the rest of the routes.
@Suite(.serialized) struct EntryGrantTests {
    private static let everything = Set(Permission.allCases)
    /// The columns of the table.
    private static let holders: [[Grant]] = [
        [.root],
        [Grant(workspace: "acme", project: "web", environment: "production", permissions: [.read])],
        [Grant(workspace: "acme", permissions: [.write])],
        [Grant(workspace: "acme", project: "web", permissions: [.admin])],
        [Grant(workspace: "acme", project: "web", names: ["OTHER_*"], permissions: [.read, .write])],
        [Grant(workspace: "acme", project: "web", environment: "staging", permissions: everything)],
        [Grant(workspace: "other", permissions: everything)],
    ]

    /// What is allowed ends in 200, or in what the request deserves: 422 for a revision or a name that can't be, 404 for an entry that
    /// isn't there, 503 without Redis.
    private static let table: [(method: String, target: String, body: String?, statuses: [Int])] = [
        //                                                                          root read write admin other staging other
        ("GET", "/variables/APP_A/versions", nil, [200, 200, 403, 403, 404, 404, 404]),
        ("GET", "/secrets/APP_S/versions", nil, [200, 200, 403, 403, 404, 404, 404]),
        ("POST", "/variables/APP_A/disable", nil, [200, 403, 200, 403, 404, 404, 404]),
        ("POST", "/variables/APP_A/enable", nil, [200, 403, 200, 403, 404, 404, 404]),
        ("POST", "/secrets/APP_S/disable", nil, [200, 403, 200, 403, 404, 404, 404]),
        ("POST", "/secrets/APP_S/enable", nil, [200, 403, 200, 403, 404, 404, 404]),
        ("POST", "/variables/APP_A/rename", #"{"name":"APP_A"}"#, [422, 403, 422, 403, 404, 404, 404]),
        ("POST", "/variables/OTHER_A/rename", #"{"name":"APP_NEW"}"#, [404, 403, 404, 403, 404, 404, 404]),
        ("POST", "/variables/GONE/seal", nil, [404, 403, 404, 403, 404, 404, 404]),
        ("POST", "/variables/APP_A/rollback", #"{"version":1}"#, [200, 403, 200, 403, 404, 404, 404]),
        ("POST", "/secrets/APP_S/rollback", #"{"version":1}"#, [200, 403, 200, 403, 404, 404, 404]),
        ("POST", "/rollback", #"{"revision":99999}"#, [422, 403, 422, 403, 422, 404, 404]),
        ("GET", "/diff?from=0", nil, [200, 200, 403, 403, 200, 404, 404]),
        ("POST", "/promote", #"{"from":"acme/web/production"}"#, [200, 403, 403, 403, 200, 404, 404]),
        ("PUT", "/configuration?format=json", #"{"APP_A":"1"}"#, [200, 403, 200, 403, 403, 404, 404]),
        ("PUT", "/configuration?format=json&dryRun=true", #"{"APP_A":"1"}"#, [200, 403, 200, 403, 403, 404, 404]),
        ("GET", "/configuration?format=yaml", nil, [200, 200, 403, 403, 200, 404, 404]),
        ("GET", "/configuration?at=1", nil, [200, 200, 403, 403, 200, 404, 404]),
        ("GET", "/watchers", nil, [503, 403, 403, 503, 403, 404, 404]),
    ]

    @Test func everyHolderGetsOfEveryEntryRouteWhatHisGrantsSay() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let seeds = #"{"set":[{"name":"APP_A","value":"1"},{"name":"APP_S","value":"hunter2","isSecret":true}]}"#
            _ = try await api.root.call("PATCH", TestAPI.path + "/configuration", body: seeds)
            for (column, grants) in Self.holders.enumerated() {
                let client = grants == [.root] ? api.root : try await api.client(grants)
                for row in Self.table {
                    let answer = try await client.call(row.method, TestAPI.path + row.target, body: row.body)
                    #expect(answer.status == row.statuses[column], "\(grants): \(row.method) \(row.target)")
                    if grants != [.root] { #expect(!answer.text.contains("hunter2"), "\(grants): \(row.method) \(row.target)") }
                }
                // The workspace is not in the path, so it is looked for in all that the token reaches.
                for (path, statuses) in [
                    ("/api/variable", [200, 200, 403, 403, 200, 404, 404]), ("/api/secret", [200, 200, 403, 403, 200, 404, 404]),
                ] {
                    let answer = try await client.call("GET", path + "/web/production")
                    #expect(answer.status == statuses[column], "\(grants): \(path)")
                    if grants != [.root] { #expect(!answer.text.contains("hunter2"), "\(grants): \(path)") }
                }
            }
        }
    }
}
