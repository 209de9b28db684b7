// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Reactor
import Store
import TestSupport
import Testing

/// Wrong tokens over real sockets. A rate of one a second, so that a busy machine earns nothing back meanwhile.
@Suite struct LoginTests {
    private static func slow(trusting range: String? = nil) throws -> LoginGuard {
        LoginGuard(rate: 1, trustedProxies: try range.map { [try #require(AddressRange($0))] } ?? [])
    }

    private static func from(_ address: String) -> [(String, String)] { [("X-Forwarded-For", address)] }

    /// Wrong tokens from there, each another one, until that is too many. With each one the client says that it has another address.
    private func exhaust(_ api: TestAPI, _ address: String? = nil) async throws -> PlainAnswer {
        for number in 0..<200 {
            let claim = ["198.51.100.\(number)", address].compactMap { $0 }.joined(separator: ", ")
            let answer = try await api.http("kv_ab12cd34_\(String(repeating: "x", count: 40))\(100 + number)")
                .call("GET", "/v1/whoami", fields: Self.from(claim))
            if answer.status == 429 { return answer }
            #expect(answer.status == 401)
        }
        throw DeadlinePassed("429")
    }

    @Test func tooManyAre429AndARightOnePasses() async throws {
        try await withAPI(logins: Self.slow(trusting: "127.0.0.0/8")) { api in
            let known = try await api.client(Grant(workspace: "*", permissions: [.admin]))
            #expect(try await known.call("GET", "/v1/whoami", fields: Self.from("203.0.113.5")).status == 200)
            let answer = try await exhaust(api, "203.0.113.5")
            #expect(answer.fields["content-type"] == "application/problem+json" && answer.fields["cache-control"] == "no-store")
            #expect((1...2).contains(Int(answer.fields["retry-after"] ?? "") ?? 0))
            #expect(answer["code"]?.text == "too_many_failed_logins")
            // A right one passes from there, also one that nobody has seen before.
            let unknown = try await api.client(Grant(workspace: "*", permissions: [.admin]))
            for client in [known, unknown, api.root] {
                #expect(try await client.call("GET", "/v1/whoami", fields: Self.from("203.0.113.5")).status == 200)
            }
            #expect(try await api.http("wrong").call("GET", "/v1/whoami", fields: Self.from("203.0.113.6")).status == 401)
            // No token at all is no attempt.
            #expect(try await api.http(nil).call("GET", "/v1/whoami", fields: Self.from("203.0.113.5")).status == 401)
            // In time it is forgiven.
            _ = try await eventually("401 again") {
                try await api.http("wrong").call("GET", "/v1/whoami", fields: Self.from("203.0.113.5")).status == 401 ? true : nil
            }
            let metrics = try await api.http(nil).call("GET", "/metrics").text
            for reason in ["unknown", "limited"] {
                let line = metrics.split(separator: "\n").first { $0.hasPrefix("api_rejected_logins_total{reason=\"\(reason)\"}") }
                #expect((line?.split(separator: " ").last).flatMap { Double($0) } ?? 0 > 0, "\(reason)")
            }
        }
    }

    @Test func strangersSayNothingOfAddresses() async throws {
        try await withAPI(logins: Self.slow()) { api in
            _ = try await exhaust(api)
            #expect(try await api.root.call("GET", "/v1/whoami").status == 200)
        }
    }
}
