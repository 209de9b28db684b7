// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

/// Documents in and out of an environment.
@Suite(.serialized) struct ImportTests {
    private static let path = TestAPI.path + "/configuration"

    private func values(_ api: TestAPI) async throws -> [String: String] {
        let read = try await api.root.call("GET", Self.path)
        return Dictionary(
            uniqueKeysWithValues: (read["entries"]?.elements ?? []).map { ($0["name"]?.text ?? "", $0["value"]?.text ?? "") }
        )
    }

    @Test func aDocumentIsOneTransaction() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            let document = "# of the shop\nexport A=1\nB='two words'\nDB_PASSWORD=hunter2\n"
            let imported = try await api.root.call("PUT", Self.path + "?format=dotenv&secrets=*_PASSWORD", document: document)
            #expect(imported.status == 200)
            #expect(imported["revision"] == .integer(3))
            #expect(imported["changes"]?.texts("name") == ["A", "B", "DB_PASSWORD"])
            #expect(imported["changes"]?[2]?["isSecret"] == .bool(true))
            #expect(imported.fields["keyvane-revision"] == "3")
            let changes = try await api.store.changes(environmentID: environment.id, first: 1, last: 3)
            #expect(Set(changes.map(\.first)) == [1])

            // A known name keeps its kind, what is not named stays, what is the same makes no revision.
            let merged = try await api.root.call("PUT", Self.path + "?format=yaml", document: "DB_PASSWORD: hunter3\nA: \"1\"\n")
            #expect(merged["revision"] == .integer(4))
            #expect(merged["changes"]?[0]?["isSecret"] == .bool(true))
            #expect(try await values(api) == ["A": "1", "B": "two words", "DB_PASSWORD": "hunter3"])

            let replaced = try await api.root.call("PUT", Self.path + "?format=json&mode=replace", document: #"{"A":"1","C":"3"}"#)
            #expect(Set(replaced["changes"]?.texts("op") ?? []) == ["set", "delete"])
            #expect(try await values(api) == ["A": "1", "C": "3"])
        }
    }

    /// Each of these is refused as a whole, with its place, and nothing is changed.
    @Test func aRefusedDocumentChangesNothing() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            _ = try await api.root.call("PUT", TestAPI.path + "/secrets/S", body: #"{"value":"hunter2"}"#)
            let rows: [(query: String, document: String, status: Int, place: String?)] = [
                ("?format=dotenv", "A=1\nB=2\nA=3\n", 422, "line 3"),
                ("?format=dotenv", "A=1\nnot an assignment\n", 422, "line 2"),
                ("?format=yaml", "A: 1\nB:\n  C: 2\n", 422, "line 2"),
                ("?format=json", #"{"A":1}"#, 422, "/A"),
                ("?format=json", #"{"A":"#, 400, nil),
                ("?format=json", #"{"entries":[{"name":"S","value":"x","isSecret":false}]}"#, 409, "/entries/0"),
                ("?format=json&mode=replace", #"{"entries":[],"withheld":2}"#, 422, "/withheld"),
                ("?format=shell", "export A=1\n", 422, "?format"),
                ("?format=toml", "A=1\n", 422, "?format"),
                ("?format=dotenv&mode=add", "A=1\n", 422, "?mode"),
                ("?format=dotenv&secrets=a%20b", "A=1\n", 422, "?secrets"),
                ("?format=dotenv&dryRun=yes", "A=1\n", 422, "?dryRun"),
            ]
            for row in rows {
                let answer = try await api.root.call("PUT", Self.path + row.query, document: row.document)
                #expect(answer.status == row.status, "\(row.query) \(row.document)")
                if let place = row.place {
                    let pointers = answer["errors"]?.texts("pointer") ?? []
                    #expect(pointers.contains { $0.hasPrefix(place) }, "\(row.query) \(row.document): \(answer.text)")
                }
                #expect(!answer.text.contains("hunter2"))
            }
            #expect(try await api.store.environment(id: environment.id).revision == 1)
            let tooMany = (0...10_000).map { "N\($0)=1\n" }.joined()
            #expect(
                try await api.root.call("PUT", Self.path + "?format=dotenv", document: tooMany)["code"]?.text == "environment_too_large"
            )
            let tooLong = "A=" + String(repeating: "x", count: 11_000_000)
            #expect(try await api.root.call("PUT", Self.path + "?format=dotenv", document: tooLong).status == 413)
            #expect(try await api.root.call("PUT", Self.path + "?format=dotenv", document: "A=1", type: "image/png").status == 415)
        }
    }

    @Test func aDryRunTellsAndDoesNothing() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            let body = #"{"set":[{"name":"A","value":"1"},{"name":"B","value":"2"},{"name":"S","value":"x","isSecret":true}]}"#
            _ = try await api.root.call("PATCH", Self.path, body: body)
            let document = "A=1\nB=3\nS=x\nC=4\n"
            let merge = try await api.root.call("PUT", Self.path + "?format=dotenv&dryRun=true", document: document)
            #expect(merge.text == #"{"added":["C"],"removed":[],"changed":["B"],"watchers":null}"#)
            let replace = try await api.root.call("PUT", Self.path + "?format=dotenv&mode=replace&dryRun=true", document: "B=2\n")
            #expect(replace.text == #"{"added":[],"removed":["A","S"],"changed":[],"watchers":null}"#)
            // Who may not read the secret must not find it out by trying.
            let writer = try await api.client(Grant(workspace: "acme", permissions: [.read, .write]))
            let guessed = try await writer.call("PUT", Self.path + "?format=dotenv&dryRun=true", document: "S=x\n")
            #expect(guessed["changed"] == .array([.string("S")]))
            #expect(try await api.store.environment(id: environment.id).revision == 3)
        }
    }

    @Test func whatIsExportedIsImportedAgain() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let value = "it's \\\"quoted\\\"\\n$HOME \\u0060x\\u0060 \\\\ 😀 # end "
            let set = #"{"set":[{"name":"A","value":"\#(value)"},{"name":"S","value":"\#(value)","isSecret":true}]}"#
            _ = try await api.root.call("PATCH", Self.path, body: set)
            let before = try await values(api)
            #expect(before.count == 2)
            _ = try await api.store.createEnvironment(workspace: "acme", project: "web", slug: "copy", actor: "root")
            let types = [
                "json": "application/json", "dotenv": "text/plain; charset=utf-8", "yaml": "application/yaml; charset=utf-8",
                "shell": "text/plain; charset=utf-8", "kubernetes": "application/yaml; charset=utf-8",
            ]
            for (format, type) in types {
                let exported = try await api.root.call("GET", Self.path + "?format=\(format)")
                #expect(exported.status == 200)
                #expect(exported.fields["content-type"] == type)
                #expect(exported.fields["etag"] == "\"2\"")
                guard ["json", "dotenv", "yaml"].contains(format) else { continue }
                let copy = "/v1/projects/acme/web/environments/copy/configuration"
                let imported = try await api.root.call("PUT", copy + "?mode=replace&secrets=S&format=\(format)", document: exported.text)
                #expect(imported.status == 200, "\(format): \(imported.text)")
                let read = try await api.root.call("GET", copy)
                #expect(read["entries"]?.texts("value") == [before["A"], before["S"]].compactMap { $0 })
            }
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read]))
            #expect(!(try await reader.call("GET", Self.path + "?format=dotenv")).text.contains("S="))
        }
    }

    @Test func aTokenImportsOnlyWhatItMayWrite() async throws {
        try await withAPI { api in
            let environment = try await api.seed()
            _ = try await api.root.call("PUT", TestAPI.path + "/variables/OTHER", body: #"{"value":"1"}"#)
            let client = try await api.client(Grant(workspace: "acme", names: ["APP_*"], permissions: [.read, .write]))
            let outside = try await client.call("PUT", Self.path + "?format=dotenv", document: "APP_A=1\nDB=2\n")
            #expect(outside.status == 403)
            #expect(outside["errors"]?.texts("pointer") == ["line 2"])
            // Replacing would delete what it may not even know of.
            let replacing = try await client.call("PUT", Self.path + "?format=dotenv&mode=replace", document: "APP_A=1\n")
            #expect(replacing.status == 403)
            #expect(!replacing.text.contains("OTHER"))
            #expect(try await client.call("PUT", Self.path + "?format=dotenv", document: "APP_A=1\n").status == 200)
            #expect(try await api.store.environment(id: environment.id).revision == 2)
        }
    }
}

extension APIClient {
    func call(_ method: String, _ target: String, document: String, type: String = "application/octet-stream") async throws -> PlainAnswer {
        try await call(method, target, body: document, type: type)
    }
}
