// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Notifier
import Store
import TestSupport
import Testing

/// GET `E/watchers`.
@Suite(.serialized) struct WatcherRouteTests {
    private static let path = TestAPI.path + "/watchers"

    @Test func showsTheLedger() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url) { api in
                let environment = try await api.seed()
                let empty = try await eventually("Redis") {
                    let answer = try await api.root.call("GET", Self.path)
                    return answer.status == 200 ? answer : nil
                }
                #expect(
                    empty.text == #"{"total":0,"acknowledging":0,"silent":0,"gateways":[],"byRevision":[],"failed":[]}"#
                )
                #expect(empty.fields["cache-control"] == "no-store")
                for (gateway, applied) in [("gateway-2", Int64(57)), ("gateway-1", 59)] {
                    var tally = WatcherTally()
                    tally.add(silent: 1)
                    tally.add(applied: applied, watchers: 2)
                    tally.add(applied: 57, failedUpTo: 58)
                    tally.note(failureAt: 58) { WatcherFailure(connection: "c-\(applied)", revision: 58, message: "the \"port\" is taken") }
                    let record = String(decoding: WatcherRecord(gateway: gateway, tally).encoded, as: UTF8.self)
                    try await redis.command("ZADD", "keyvane:watchers", "1", gateway)
                    try await redis.command("HSET", "keyvane:watchers:\(gateway)", environment.id.lowercased, record)
                }
                let answer = try await api.root.call("GET", Self.path)
                #expect(answer.status == 200)
                let failed = ["c-57", "c-59"].map { #"{"connection":"\#($0)","revision":58,"message":"the \"port\" is taken"}"# }
                let expected =
                    #"{"total":8,"acknowledging":6,"silent":2,"gateways":[{"name":"gateway-1","watchers":4},{"name":"gateway-2","watchers":4}],"#
                    + #""byRevision":[{"revision":59,"watchers":2},{"revision":57,"watchers":4}],"#
                    + #""failed":[\#(failed.joined(separator: ","))]}"#
                #expect(answer.text == expected)
                let unknown = try await api.root.call("GET", Self.path + "?limit=1")
                #expect(unknown.status == 400)
            }
        }
    }

    @Test func isForThoseWhoAdministerTheEnvironment() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url) { api in
                _ = try await api.seed()
                _ = try await eventually("Redis") { try await api.root.call("GET", Self.path).status == 200 ? true : nil }
                for (grant, status) in [
                    (Grant(workspace: "acme", project: "web", environment: "production", permissions: [.admin]), 200),
                    (Grant(workspace: "acme", permissions: [.admin]), 200),
                    (Grant(workspace: "acme", permissions: [.read, .readSecrets, .write]), 403),
                    (Grant(workspace: "acme", project: "web", environment: "staging", permissions: [.admin]), 404),
                    (Grant(workspace: "other", permissions: [.admin]), 404),
                ] {
                    let answer = try await api.client(grant).call("GET", Self.path)
                    #expect(answer.status == status, "\(grant)")
                }
                #expect(try await api.http(nil).call("GET", Self.path).status == 401)
                let nowhere = try await api.root.call("GET", "/v1/projects/acme/web/environments/nowhere/watchers")
                #expect(nowhere.status == 404)
            }
        }
    }

    @Test func withoutRedisNobodyKnows() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let answer = try await api.root.call("GET", Self.path)
            #expect(answer.status == 503)
            #expect(answer.fields["retry-after"] == "1")
            #expect(answer["code"]?.text == "unavailable")
        }
    }

    @Test func aRedisThatCameBackEmptyIsNotBelieved() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url) { api in
                _ = try await api.seed()
                _ = try await eventually("Redis") { try await api.root.call("GET", Self.path).status == 200 ? true : nil }
                await redis.kill()
                _ = try await eventually("the loss of Redis") { api.redis.isConnected ? nil : true }
                let start = ContinuousClock.now
                try await redis.start()
                _ = try await eventually("Redis again") { api.redis.isConnected ? true : nil }
                let answer = try await api.root.call("GET", Self.path)
                // On a machine that stood still for so long there is nothing to see.
                if start.duration(to: .now) < WatcherDirectory.refillTime { #expect(answer.status == 503) }
                _ = try await eventually("a ledger") { try await api.root.call("GET", Self.path).status == 200 ? true : nil }
            }
        }
    }
}
