// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// One request and its response, through both translations.
@Suite struct HTTP2TranslationTests {
    @Test func requestsAndResponses() async throws {
        try await BalancerFixture.withHTTP2(script: { _, request in
            .ok("\(request.method) \(request.target) \(request.body.count)", fields: "X-Mixed: Case\r\nConnection: x-hop\r\nX-Hop: 1\r\n")
        }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            let answer = try await client.get(1, "/path?query=1")
            #expect(answer.status == "200" && answer.text == "GET /path?query=1 0")
            #expect(answer.value("x-mixed") == "Case" && answer.value("content-length") == "19")
            #expect(answer.value("connection") == nil && answer.value("x-hop") == nil)
            // The same connection again, and with bodies of both kinds.
            client.send(.headers(3, HTTP2TestClient.request("POST"), end: false), .data(3, "hello"), .data(3, " you", end: true))
            #expect(try await client.message(3).text == "POST / 9")
            client.send(
                .headers(5, HTTP2TestClient.request("PUT", "/", [("content-length", "4")]), end: false),
                .data(5, "four", end: true)
            )
            #expect(try await client.message(5).text == "PUT / 4")
            let requests = try await fixture.backends[0].requests.until(within: .seconds(30), "three requests") { $0.count == 3 }
            #expect(requests[0].value("host") == "a" && requests[0].values("host").count == 1)
            #expect(requests[1].value("transfer-encoding") == "chunked" && requests[2].value("content-length") == "4")
        }
    }

    @Test func crumbsAreOneCookie() async throws {
        try await BalancerFixture.withHTTP2 { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            _ = try await client.get(1, "/", [("cookie", "a=1"), ("te", "trailers"), ("cookie", "b=2"), ("cookie", "c=3")])
            let request = try await fixture.backends[0].requests.first(within: .seconds(30), "a request")
            #expect(request.values("cookie") == ["a=1; b=2; c=3"] && request.value("te") == nil)
        }
    }
}
