// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

@Suite(.serialized) struct ChangeTests {
    private static let path = TestAPI.path + "/changes"

    private func patch(_ api: TestAPI, _ body: String) async throws {
        #expect(try await api.root.call("PATCH", TestAPI.path + "/configuration", body: body).status == 200)
    }

    @Test func theLogIsReadInWholeTransactions() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            try await patch(api, #"{"set":[{"name":"A","value":"1"},{"name":"B","value":"2"},{"name":"C","value":"3"}]}"#)
            try await patch(api, #"{"delete":["A"]}"#)
            let all = try await api.root.call("GET", Self.path)
            #expect(all.status == 200)
            #expect(all["items"]?.texts("name") == ["A", "B", "C", "A"])
            #expect(all["items"]?.texts("op") == ["set", "set", "set", "delete"])
            #expect(all["revision"] == .integer(4))
            let item = #"{"items":[{"op":"set","name":"A","value":"1","isSecret":false,"version":1,"revision":1,"at":""#
            #expect(all.text.hasPrefix(item))
            #expect(all["items"]?[3]?["value"] == nil)

            // Two would cut the first transaction.
            let some = try await api.root.call("GET", Self.path + "?limit=2")
            #expect(some["items"]?.texts("name") == ["A", "B", "C"])
            #expect(some["revision"] == .integer(3))
            let cursor = try #require(some["cursor"]?.text)
            #expect(cursor.hasPrefix("3-"))
            let rest = try await api.root.call("GET", Self.path + "?since=\(cursor)")
            #expect(rest["items"]?.texts("op") == ["delete"])
            let head = try await api.root.call("GET", Self.path + "?since=4")
            #expect(head["items"]?.elements.isEmpty == true)
            #expect(head["cursor"] == all["cursor"])
        }
    }

    @Test func whatIsNotInThisHistoryIsTooOld() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            try await patch(api, #"{"set":[{"name":"A","value":"1"}]}"#)
            let cursor = try #require(try await api.root.call("GET", Self.path)["cursor"]?.text)
            let wrongMark = cursor.hasSuffix("0") ? cursor.dropLast() + "1" : cursor.dropLast() + "0"
            for since in ["2", "99999", String(wrongMark)] {
                let answer = try await api.root.call("GET", Self.path + "?since=\(since)")
                #expect(answer.status == 410, "since=\(since)")
                #expect(answer["code"]?.text == "since_too_old")
            }
        }
    }

    @Test func grantsCutItAsOnTheWatch() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            try await patch(api, #"{"set":[{"name":"A","value":"1"},{"name":"S","value":"hunter2","isSecret":true}]}"#)
            try await patch(api, #"{"set":[{"name":"S","value":"hunter3"}]}"#)
            let all = try await api.root.call("GET", Self.path)
            #expect(all["items"]?.texts("value") == ["1", "hunter2", "hunter3"])
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read]))
            let some = try await reader.call("GET", Self.path)
            #expect(some["items"]?.texts("name") == ["A"])
            #expect(!some.text.contains("hunter"))
            // What was passed over unseen counts as read.
            #expect(some["cursor"]?.text?.hasPrefix("3-") == true)
            let rest = try await reader.call("GET", Self.path + "?since=1")
            #expect(rest["items"]?.elements.isEmpty == true)
            #expect(rest["revision"] == .integer(3))
        }
    }

    @Test func whoOnlyLooksSeesSecretsWithoutTheirValues() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            try await patch(api, #"{"set":[{"name":"A","value":"1"},{"name":"S","value":"hunter2","isSecret":true}]}"#)
            try await patch(api, #"{"delete":["S"]}"#)
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read]))
            for client in [reader, api.root] {
                let answer = try await client.call("GET", Self.path + "?reveal=false")
                #expect(answer["items"]?.texts("name") == ["A", "S", "S"])
                #expect(answer["items"]?[0]?["value"] == .string("1"))
                #expect(answer["items"]?[1]?["value"] == .null)
                #expect(!answer.text.contains("hunter"))
            }
            // Nothing was read, so nothing is recorded.
            let audit = try await api.root.call("GET", "/v1/workspaces/acme/audit")
            #expect(audit["items"]?.texts("action").contains("secret.read") == false)
            // Names outside of a grant stay outside.
            let narrow = try await api.client(Grant(workspace: "acme", names: ["A*"], permissions: [.read]))
            #expect(try await narrow.call("GET", Self.path + "?reveal=false")["items"]?.texts("name") == ["A"])
            #expect(try await reader.call("GET", Self.path + "?reveal=maybe").status == 422)
        }
    }

    @Test func aLongPollOfWhoOnlyLooksWakesForASecret() async throws {
        try await withAPI(configure: { $0.longPollCheckWithoutChannel = .seconds(50) }) { api in
            _ = try await api.seed()
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read]))
            async let polled = reader.call("GET", Self.path + "?wait=40&reveal=false")
            try await waitForLongPoll(api)
            try await patch(api, #"{"set":[{"name":"S","value":"hunter2","isSecret":true}]}"#)
            #expect(try await polled["items"]?.texts("name") == ["S"])
        }
    }

    @Test func aLongPollWaitsForAChangeOfThisProcess() async throws {
        // Redis is away and the poll would not look by itself in time: only the process's own bell can wake it.
        try await withAPI(configure: { $0.longPollCheckWithoutChannel = .seconds(50) }) { api in
            _ = try await api.seed()
            async let polled = api.root.call("GET", Self.path + "?wait=40")
            try await waitForLongPoll(api)
            try await patch(api, #"{"set":[{"name":"A","value":"1"}]}"#)
            #expect(try await polled["items"]?.texts("name") == ["A"])
        }
    }

    @Test func aLongPollLooksByItselfToo() async throws {
        try await withAPI(configure: { $0.longPollCheckWithoutChannel = .milliseconds(50) }) { api in
            let environment = try await api.seed()
            async let polled = api.root.call("GET", Self.path + "?wait=40")
            try await waitForLongPoll(api)
            // As another process would commit it: nothing here hears of it.
            _ = try await api.store.mutate(
                Mutation(environmentID: environment.id, changes: [EntryChange(name: "A", op: .set("1"))], actor: "root")
            )
            #expect(try await polled["items"]?.texts("name") == ["A"])
        }
    }

    @Test func aLongPollSleepsThroughWhatItMayNotSeeAndEndsEmpty() async throws {
        try await withAPI(configure: { $0.longPollCheckWithoutChannel = .milliseconds(50) }) { api in
            _ = try await api.seed()
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read]))
            async let polled = reader.call("GET", Self.path + "?wait=3")
            try await patch(api, #"{"set":[{"name":"S","value":"hunter2","isSecret":true}]}"#)
            let answer = try await polled
            #expect(answer.status == 200)
            #expect(answer["items"]?.elements.isEmpty == true)
        }
    }

    @Test func whereNobodyMayWaitTheAnswerComesAtOnce() async throws {
        try await withAPI(configure: { $0.maximumLongPolls = 0 }) { api in
            _ = try await api.seed()
            let answer = try await api.root.call("GET", Self.path + "?wait=55")
            #expect(answer.text.hasPrefix(#"{"items":[],"revision":0,"cursor":"0-"#))
        }
    }

    /// The gauge of waiting polls says when one has begun to wait.
    private func waitForLongPoll(_ api: TestAPI) async throws {
        _ = try await eventually("a waiting long poll") {
            try await api.http(nil).call("GET", "/metrics").text.contains("api_long_polls 1") ? true : nil
        }
    }
}
