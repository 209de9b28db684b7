// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Store
import TestSupport
import Testing

@Suite(.serialized) struct HealthTests {
    @Test func healthSaysWhatWorks() async throws {
        try await withRedis { redis in
            try await withAPI(redis: redis.url) { api in
                for path in ["/health", "/health/", "/api/v1/health"] {
                    // A check has a second; on a machine that does much else it may need another try.
                    let answer = try await eventually("health") {
                        let answer = try await api.http(nil).call("GET", path)
                        return answer.status == 200 && answer["redis"] == .bool(true) ? answer : nil
                    }
                    #expect(answer.fields["cache-control"] == "no-store")
                    let pattern =
                        #/{"status":"healthy","role":"api","version":"1.2.3","instance":"api-1","database":true,"redis":true,"checks":{"database":{"ok":true,"latencyMs":\d+\.\d},"redis":{"ok":true,"latencyMs":\d+\.\d}}}/#
                    #expect(answer.text.wholeMatch(of: pattern) != nil, "\(answer.text)")
                }
                try await redis.stop()
                let without = try await eventually("redis to be away") {
                    let answer = try await api.http(nil).call("GET", "/health")
                    return answer["redis"] == .bool(false) && answer["database"] == .bool(true) ? answer : nil
                }
                #expect(without.status == 200)
                #expect(without["status"]?.text == "healthy")
                _ = try await eventually("readiness") { try await api.http(nil).call("GET", "/readyz").status == 200 ? true : nil }
            }
        }
    }

    @Test func withoutPostgreSQLItSaysSo() async throws {
        try await withPrivatePostgres { database in
            try await withAPI(postgres: database.url, patience: .seconds(3)) { api in
                _ = try await api.seed()
                let path = TestAPI.path + "/variables/A"
                let client = try await api.client(Grant(workspace: "acme", permissions: [.read, .write]))
                #expect(try await client.call("PUT", path, body: #"{"value":"1"}"#).status == 201)
                try await database.server.stop(mode: "immediate")
                for (method, body) in [("GET", nil), ("PUT", #"{"value":"2"}"#)] {
                    let answer = try await client.call(method, path, body: body)
                    #expect(answer.status == 503)
                    #expect(answer.fields["retry-after"] == "1")
                    try Golden.expect(answer, "no-database")
                }
                let ready = try await api.http(nil).call("GET", "/readyz")
                #expect(ready.status == 503)
                #expect(ready.fields["keyvane-state"] == "unavailable")
                let health = try await api.http(nil).call("GET", "/health")
                #expect(health.status == 503)
                #expect(health["status"]?.text == "unhealthy")
                #expect(health["database"] == .bool(false))
                #expect(try await api.http(nil).call("GET", "/livez").status == 200)
                try await database.server.startAgain()
                _ = try await eventually("readiness") { try await api.http(nil).call("GET", "/readyz").status == 200 ? true : nil }
                let after = try await eventually("an answer") {
                    let answer = try await client.call("GET", path)
                    return answer.status == 200 ? answer : nil
                }
                // The change that was answered with 503 may have happened or not; the one before it stands.
                #expect(["1", "2"].contains(after["value"]?.text))
            }
        }
    }

    @Test func aDrainingInstanceServesUntilItCloses() async throws {
        try await withAPI(configure: { $0.drainDelay = .seconds(600) }) { api in
            _ = try await api.seed()
            async let polled = api.root.call("GET", TestAPI.path + "/changes?wait=55")
            _ = try await eventually("a waiting long poll") {
                try await api.http(nil).call("GET", "/metrics").text.contains("api_long_polls 1") ? true : nil
            }
            // Awaited below; cancelling it is what ends the delay.
            let drained = Task { await api.service.drain() }
            let ready = try await eventually("draining") {
                let answer = try await api.http(nil).call("GET", "/readyz")
                return answer.fields["keyvane-state"] == "draining" ? answer : nil
            }
            #expect(ready.status == 503)
            #expect(try await api.http(nil).call("GET", "/livez").status == 200)
            #expect(try await api.root.call("PUT", TestAPI.path + "/secrets/A", body: #"{"value":"1"}"#).status == 201)
            // The change has ended the poll; had it not, the drain would have.
            #expect(try await polled.status == 200)
            drained.cancel()
            await drained.value
            #expect(throws: DeadlinePassed.self) { try RawSocket(port: api.port) }
        }
    }

    @Test func aDrainEndsLongPolls() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            async let polled = api.root.call("GET", TestAPI.path + "/changes?wait=55")
            _ = try await eventually("a waiting long poll") {
                try await api.http(nil).call("GET", "/metrics").text.contains("api_long_polls 1") ? true : nil
            }
            try await withDeadline(.seconds(20), "the drain") { await api.service.drain() }
            #expect(try await polled["items"]?.elements.isEmpty == true)
        }
    }

    @Test func requestsAreCountedByPattern() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            for name in ["A", "B"] {
                _ = try await api.root.call("PUT", TestAPI.path + "/variables/\(name)", body: #"{"value":"1"}"#)
            }
            _ = try await api.root.call("POST", TestAPI.path + "/variables/A", body: "{}")
            _ = try await api.root.call("GET", "/v1/nobody/knows/this")
            let metrics = try await api.http(nil).call("GET", "/metrics")
            #expect(metrics.status == 200)
            #expect(metrics.fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            let pattern = "/v1/projects/{w}/{p}/environments/{e}/variables/{name}"
            for line in [
                "api_requests_total{route=\"PUT \(pattern)\",status=\"201\"} 2",
                "api_requests_total{route=\"POST \(pattern)\",status=\"405\"} 1",
                "api_requests_total{route=\"unmatched\",status=\"404\"} 1",
                "api_request_duration_seconds_count{route=\"PUT \(pattern)\"} 2",
            ] {
                #expect(metrics.text.contains(line), "\(line)")
            }
        }
    }
}
