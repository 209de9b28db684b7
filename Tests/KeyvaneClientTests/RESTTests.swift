// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient
import NIOHTTP1
import Synchronization
import Testing

@Suite("REST calls", .timeLimit(.minutes(2)))
struct RESTTests {
    private static let environment = GoldenMessages.environment
    private static let base = "/v1/projects/acme/web/environments/production"
    private static let entry = """
        {"name":"DB_HOST","value":"10.0.0.5","isSecret":false,"version":2,"revision":31,"note":null,"enabled":true,\
        "updatedAt":"2026-01-31T12:00:00.125Z","updatedBy":"token:ab12cd34"}
        """

    @Test("a configuration is read, whole, in part and of the past")
    func configuration() async throws {
        try await ScriptedGateway.run(
            http: .init { _ in
                ScriptedGateway.Answer(
                    body: """
                        {"environment":"acme/web/production","environmentId":"i","revision":57,"cursor":"57-a","entries":[\(Self.entry)],"withheld":2}
                        """
                )
            }
        ) { gateway in
            let client = try gateway.client()
            let configuration = try await client.configuration(Self.environment)
            #expect(configuration["DB_HOST"] == "10.0.0.5")
            #expect(configuration.cursor == WatchCursor("57-a"))
            #expect(configuration.withheld == 2)
            _ = try await client.configuration(Self.environment, at: 5, names: ["DB_*", "A&B"])
            #expect(gateway.calls.map(\.head.uri) == [Self.base + "/configuration", Self.base + "/configuration?at=5&names=DB_*,A%26B"])
            #expect(gateway.calls.allSatisfy { $0.head.headers["authorization"] == ["Bearer kv_test"] })
        }
    }

    @Test("an entry is found whichever kind it is")
    func entry() async throws {
        try await ScriptedGateway.run(
            http: .init { call in
                switch call.head.uri {
                case Self.base + "/variables/DB_HOST": ScriptedGateway.Answer(body: Self.entry)
                case Self.base + "/secrets/KEY":
                    ScriptedGateway.Answer(body: #"{"name":"KEY","value":null,"isSecret":true,"version":1,"revision":1}"#)
                default: ScriptedGateway.Answer(status: .notFound, body: #"{"status":404,"code":"entry_not_found","detail":"No."}"#)
                }
            }
        ) { gateway in
            let client = try gateway.client()
            let variable = try await client.get("DB_HOST", in: Self.environment)
            #expect(variable.value == "10.0.0.5")
            #expect(variable.updatedBy == "token:ab12cd34")
            let secret = try await client.get("KEY", in: Self.environment)
            #expect(secret.isSecret)
            #expect(secret.value == nil)
            let error = await #expect(throws: ClientError.self) { try await client.get("NONE", in: Self.environment) }
            #expect(error == ClientError(code: "entry_not_found", message: "No.", status: 404))
        }
    }

    @Test("values are written in one transaction, with a key against doing it twice")
    func set() async throws {
        try await ScriptedGateway.run(
            http: .init { _ in
                ScriptedGateway.Answer(
                    body: #"{"revision":58,"changes":[{"op":"set","name":"A","value":"1","isSecret":false,"version":1,"revision":58}]}"#
                )
            }
        ) { gateway in
            let client = try gateway.client()
            let result = try await client.set(
                [EntryAssignment("A", "1"), EntryAssignment("S", "x", isSecret: true)],
                delete: ["OLD"],
                in: Self.environment,
                ifRevision: 57
            )
            #expect(result.revision == 58)
            #expect(result.changes.map(\.name) == ["A"])
            try await client.set("A", to: "1", in: Self.environment)
            try await client.set("S", to: "x", secret: true, in: Self.environment)
            let calls = gateway.calls
            #expect(calls.allSatisfy { $0.head.method == .PATCH && $0.head.uri == Self.base + "/configuration" })
            #expect(calls.allSatisfy { $0.head.headers["content-type"] == ["application/json"] })
            #expect(Set(calls.flatMap { $0.head.headers["idempotency-key"] }).count == 3)
            #expect(calls[0].head.headers["if-match"] == ["\"57\""])
            let bodies = try calls.map { try JSONSerialization.jsonObject(with: Data($0.body.utf8)) as? NSDictionary }
            #expect(
                bodies == [
                    ["set": [["name": "A", "value": "1"], ["name": "S", "value": "x", "isSecret": true]], "delete": ["OLD"]],
                    ["set": [["name": "A", "value": "1"]], "delete": []],
                    ["set": [["name": "S", "value": "x", "isSecret": true]], "delete": []],
                ] as [NSDictionary]
            )
        }
    }

    @Test("whoami tells the token's grants")
    func whoami() async throws {
        let body = """
            {"id":"ab12cd34","description":"ci","grants":[{"workspace":"acme","project":"web","permissions":["read","write"]}],\
            "expiresAt":null,"createdAt":"2026-01-01T00:00:00Z","createdBy":"root","lastUsedAt":null}
            """
        try await ScriptedGateway.run(
            http: .init { _ in
                ScriptedGateway.Answer(body: body)
            }
        ) { gateway in
            let token = try await gateway.client { $0.url += "/keyvane/" }.whoami()
            #expect(token.id == "ab12cd34")
            #expect(token.grants.first?.permissions == ["read", "write"])
            #expect(token.grants.first?.environment == nil)
            #expect(gateway.calls.map(\.head.uri) == ["/keyvane/v1/whoami"])
        }
    }

    @Test("a refusal becomes an error with everything that it says")
    func problem() async throws {
        let problem = """
            {"type":"https://keyvane.dev/problems/invalid_value","title":"Invalid","status":422,"code":"invalid_value",\
            "detail":"One value can't be stored.","errors":[{"pointer":"/set/0/value","detail":"is longer than 64 KiB"}]}
            """
        try await ScriptedGateway.run(
            http: .init { _ in
                ScriptedGateway.Answer(status: .unprocessableEntity, headers: ["etag": "\"7\"", "retry-after": "3"], body: problem)
            }
        ) { gateway in
            let client = try gateway.client()
            let error = await #expect(throws: ClientError.self) { try await client.set("A", to: "1", in: Self.environment) }
            #expect(
                error
                    == ClientError(
                        code: "invalid_value",
                        message: "One value can't be stored.",
                        status: 422,
                        errors: [ClientError.Fault(pointer: "/set/0/value", detail: "is longer than 64 KiB")],
                        etag: "\"7\"",
                        retryAfter: .seconds(3)
                    )
            )
            #expect(gateway.calls.count == 1)
        }
    }

    @Test("a 503 is tried again with the same key, as often as asked, and no more")
    func retries() async throws {
        let failures = Mutex(2)
        try await ScriptedGateway.run(
            http: .init { _ in
                let fails = failures.withLock { count in
                    count -= 1
                    return count >= 0
                }
                return fails
                    ? ScriptedGateway.Answer(status: .serviceUnavailable, headers: ["retry-after": "0"])
                    : ScriptedGateway.Answer(body: #"{"revision":1,"changes":[]}"#)
            }
        ) { gateway in
            let client = try gateway.client()
            #expect(try await client.set("A", to: "1", in: Self.environment).revision == 1)
            #expect(gateway.calls.count == 3)
            #expect(Set(gateway.calls.flatMap { $0.head.headers["idempotency-key"] }).count == 1)
            failures.withLock { $0 = 100 }
            let error = await #expect(throws: ClientError.self) { try await client.whoami() }
            #expect(error?.code == "unavailable")
            #expect(gateway.calls.count == 6)
        }
    }

    @Test("answers that are none, and nobody there, are errors of their own")
    func unusable() async throws {
        try await ScriptedGateway.run(
            http: .init { _ in
                ScriptedGateway.Answer(body: "<html>")
            }
        ) { gateway in
            let client = try gateway.client()
            let error = await #expect(throws: ClientError.self) { try await client.whoami() }
            #expect(error?.code == "invalid_answer")
        }
        let nobody = try ConfigurationClient(ClientSettings(url: "http://127.0.0.1:1", token: "t", retries: 0))
        let error = await #expect(throws: ClientError.self) { try await nobody.whoami() }
        #expect(error?.code == "unreachable")
    }

    @Test("names and environments that could lead elsewhere are never sent")
    func names() async throws {
        try await ScriptedGateway.run { gateway in
            let client = try gateway.client()
            for name in ["", "..", "a/b", "a?b", "ä", "a b"] {
                let error = await #expect(throws: ClientError.self) { try await client.get(name, in: Self.environment) }
                #expect(error?.code == "invalid_name")
            }
            for environment in ["", "a/b", "a/b/c/d", "a//c", "a/../c", "a/b/C", "a/b/c?d"] {
                let error = await #expect(throws: ClientError.self) { try await client.configuration(environment) }
                #expect(error?.code == "invalid_environment")
            }
            #expect(gateway.calls.isEmpty)
        }
    }
}
