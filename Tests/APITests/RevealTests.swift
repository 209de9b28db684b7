// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Foundation
import Store
import TestSupport
import Testing

/// Ways around a grant that a review found: each would show a value to somebody who may not read it, or tell him whether he guessed it.
@Suite(.serialized) struct RevealTests {
    private static let everything = Set(Permission.allCases)

    private func seeded(_ api: TestAPI) async throws {
        _ = try await api.seed()
        let body = #"{"set":[{"name":"DB_HOST","value":"10.0.0.5"},{"name":"DB_PASSWORD","value":"hunter2","isSecret":true}]}"#
        _ = try await api.root.call("PATCH", TestAPI.path + "/configuration", body: body)
    }

    @Test func anActionShowsNothingToWhoMayOnlyWrite() async throws {
        try await withAPI { api in
            try await seeded(api)
            _ = try await api.root.call("PUT", TestAPI.path + "/variables/DB_HOST", body: #"{"value":"10.0.0.9"}"#)
            let writer = try await api.client(Grant(workspace: "acme", permissions: [.write]))
            let requests: [(target: String, body: String?)] = [
                ("/variables/DB_HOST/disable", nil), ("/variables/DB_HOST/disable", nil), ("/variables/DB_HOST/enable", nil),
                ("/variables/DB_HOST/rollback", #"{"version":1}"#), ("/variables/DB_HOST/rename", #"{"name":"HOST"}"#),
                ("/secrets/DB_PASSWORD/disable", nil), ("/secrets/DB_PASSWORD/enable", nil), ("/rollback", #"{"revision":2}"#),
            ]
            for request in requests {
                let answer = try await writer.call("POST", TestAPI.path + request.target, body: request.body)
                #expect(answer.status == 200, "\(request.target)")
                #expect(!answer.text.contains("10.0.0") && !answer.text.contains("hunter2"), "\(request.target)")
            }
        }
    }

    @Test func disablingWhatIsDisabledStillShowsTheValue() async throws {
        try await withAPI { api in
            try await seeded(api)
            for _ in 1...2 {
                let answer = try await api.root.call("POST", TestAPI.path + "/secrets/DB_PASSWORD/disable")
                #expect(answer["value"]?.text == "hunter2")
            }
        }
    }

    @Test func aRenameCarriesNothingToWhereItCanBeRead() async throws {
        try await withAPI { api in
            try await seeded(api)
            let client = try await api.client(
                Grant(workspace: "acme", permissions: [.write]),
                Grant(workspace: "acme", names: ["MY_*"], permissions: [.read, .readSecrets])
            )
            for target in ["/secrets/DB_PASSWORD", "/variables/DB_HOST"] {
                let answer = try await client.call("POST", TestAPI.path + target + "/rename", body: #"{"name":"MY_X"}"#)
                #expect(answer.status == 403)
            }
        }
    }

    @Test func promotingIsNoWayToGuess() async throws {
        try await withAPI { api in
            try await seeded(api)
            _ = try await api.store.createEnvironment(workspace: "acme", project: "web", slug: "mine", actor: "root")
            let client = try await api.client(
                Grant(workspace: "acme", project: "web", environment: "mine", permissions: Self.everything),
                Grant(workspace: "acme", project: "web", environment: "production", names: ["OTHER"], permissions: [.write])
            )
            let mine = "/v1/projects/acme/web/environments/mine/secrets/DB_PASSWORD"
            var answers: [String] = []
            for guess in ["hunter1", "hunter2"] {
                _ = try await client.call("PUT", mine, body: #"{"value":"\#(guess)"}"#)
                answers.append(try await client.call("POST", TestAPI.path + "/promote", body: #"{"from":"acme/web/mine"}"#).text)
            }
            #expect(answers[0] == answers[1])
            #expect(answers[0].contains("not_granted"))
        }
    }

    @Test func nobodyRevivesATokenThatMayMoreThanHe() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let soon = Date().addingTimeInterval(3_600)
            let grant = Grant(workspace: "acme", permissions: [.readSecrets])
            let token = try await api.store.createToken(description: "", grants: [grant], expiresAt: soon, createdBy: "root").record
            let administrator = try await api.client(Grant(workspace: "acme", permissions: [.admin]))
            let path = "/v1/tokens/" + token.id
            for expiry in ["null", #""2099-01-01T00:00:00Z""#] {
                #expect(try await administrator.call("PATCH", path, body: #"{"expiresAt":\#(expiry)}"#).status == 403)
            }
            let sooner = Date().addingTimeInterval(1_800).ISO8601Format()
            #expect(try await administrator.call("PATCH", path, body: #"{"expiresAt":"\#(sooner)"}"#).status == 200)
        }
    }

    @Test func aLongPollEndsWithItsToken() async throws {
        try await withAPI { api in
            try await seeded(api)
            let made = try await api.store.createToken(
                description: "",
                grants: [Grant(workspace: "acme", permissions: [.readSecrets])],
                expiresAt: nil,
                createdBy: "root"
            )
            let client = api.http(made.text)
            async let waiting = client.call("GET", TestAPI.path + "/changes?since=2&wait=50")
            _ = try await eventually("the poll waiting") { (api.service.longPolls > 0) ? true : nil }
            #expect(try await api.root.call("DELETE", "/v1/tokens/" + made.record.id).status == 204)
            _ = try await api.root.call("PUT", TestAPI.path + "/secrets/DB_PASSWORD", body: #"{"value":"hunter3"}"#)
            let answer = try await waiting
            #expect(answer.status == 401)
            #expect(!answer.text.contains("hunter3"))
        }
    }

    @Test func aSinceBeyondEveryNumberIsGone() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let answer = try await api.root.call("GET", TestAPI.path + "/changes?since=9223372036854775807")
            #expect(answer.status == 410)
        }
    }
}
