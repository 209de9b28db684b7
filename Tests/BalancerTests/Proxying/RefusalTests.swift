// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// What no server ever gets to see.
@Suite struct RefusalTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let request: String
        let status: Int
        let code: String
        var testDescription: String { code }

        init(_ request: String, _ status: Int, _ code: String) {
            self.request = request
            self.status = status
            self.code = code
        }
    }

    private static let post = "POST / HTTP/1.1\r\nHost: a\r\n"

    static let cases: [Case] = [
        Case(post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "length_with_transfer_encoding"),
        Case(post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400, "length_with_transfer_encoding"),
        Case(post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "repeated_content_length"),
        Case(post + "Content-Length: 3, 3\r\n\r\nabc", 400, "bad_content_length"),
        Case(post + "Content-Length: +3\r\n\r\nabc", 400, "bad_content_length"),
        Case(post + "Content-Length: 0x3\r\n\r\nabc", 400, "bad_content_length"),
        Case(post + "Content-Length:\r\n\r\nabc", 400, "bad_content_length"),
        Case(post + "Content-Length: 99999999999999999999\r\n\r\n", 400, "bad_content_length"),
        Case("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "transfer_encoding_on_http_1_0"),
        Case(post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, "bad_transfer_encoding"),
        Case(post + "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 400, "bad_transfer_encoding"),
        Case(post + "Transfer-Encoding: \u{0B}chunked\r\n\r\n0\r\n\r\n", 400, "bad_field_value"),
        Case(post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, "space_before_colon"),
        Case("GET / HTTP/1.1\nHost: a\n\n", 400, "bare_lf"), Case("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, "bare_lf"),
        Case("GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400, "bare_cr"),
        Case("GET / HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n", 400, "obs_fold"),
        Case("GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", 400, "empty_field_name"),
        Case("GET / HTTP/1.1\r\nHost: a\r\nX(: y\r\n\r\n", 400, "bad_field_name"),
        Case("GET / HTTP/1.1\r\nHost: a\r\nX: \u{00}\r\n\r\n", 400, "bad_field_value"),
        Case("GET / HTTP/1.1\r\nX: y\r\n\r\n", 400, "missing_host"), Case("GET / HTTP/1.0\r\nX: y\r\n\r\n", 400, "missing_host"),
        Case("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "repeated_host"),
        Case("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "bad_host"), Case("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad_host"),
        Case("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "bad_host"), Case("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "bad_host"),
        Case("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "absolute_target"),
        Case("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "connect_method"),
        Case(post + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n", 400, "upgrade_to_h2c"),
        Case("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request_line"),
        Case("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "unsupported_http_version"),
        Case("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "absolute_target"), Case("\u{16}\u{03}\u{01}\u{02}garbage", 400, "bad_method"),
        Case("GET /" + String(repeating: "x", count: 40 << 10) + " HTTP/1.1\r\nHost: a\r\n\r\n", 431, "head_too_large"),
        Case("GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 101) + "\r\n", 431, "too_many_fields"),
        Case(post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400, "bad_chunk"),
        Case(post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400, "bad_chunk"),
        Case(post + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n", 400, "bad_trailer"),
    ]

    @Test(arguments: cases)
    func refusedAsSoonAsItIsSeen(_ given: Case) async throws {
        try await BalancerFixture.with { fixture in
            let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
            let client = try await fixture.client()
            client.send(given.request + smuggled)
            let answer = try await client.response()
            #expect(answer.status == given.status)
            #expect(answer.text.contains("\"code\":\"\(given.code)\""), "\(answer.text)")
            #expect(answer.value("content-type") == "application/problem+json" && answer.value("connection") == "close")
            // One answer and no more, and it arrives whole although we were still sending.
            #expect(try await client.untilEnd().isEmpty)
            #expect(!fixture.backends[0].requests.all.contains { $0.target == "/smuggled" })
        }
    }

    @Test func aFaultIsAnsweredBeforeTheHeadEnds() async throws {
        try await BalancerFixture.with { fixture in
            let client = try await fixture.client()
            #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\nX : ").status == 400)
        }
    }

    @Test func browsersGetHTML() async throws {
        try await BalancerFixture.with(dead: ["web-1"]) { fixture in
            let client = try await fixture.client()
            let browser = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n"
            let page = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\(browser)\r\n")
            #expect(page.status == 503 && page.value("content-type") == "text/html; charset=utf-8")
            #expect(page.text.contains("<h1>503 Service Unavailable</h1>"))
            let head = try await client.request("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", method: .head)
            #expect(head.status == 503 && head.body.isEmpty)
            for accept in ["*/*", "application/json", "text/html, application/json"] {
                let answer = try await client.request("GET / HTTP/1.1\r\nHost: a\r\nAccept: \(accept)\r\n\r\n")
                #expect(answer.value("content-type") == "application/problem+json")
                #expect(answer.values("server").isEmpty && !answer.text.lowercased().contains("keyvane"))
            }
        }
    }

    @Test func slowHeadsEnd() async throws {
        try await BalancerFixture.with(configure: { $0.limits.headerTimeout = .milliseconds(400) }) { fixture in
            let client = try await fixture.client()
            client.send("GET / HTTP/1.1\r\nHost: a\r\n")
            // Each byte is in time, the head is not: the deadline is absolute.
            let drip = try await fixture.client()
            let answer = try await withDeadline(.seconds(90), "the refusal of a dripping head") {
                let text = Array("GET / HTTP/1.1\r\nHost: a\r\n".utf8) + Array(String(repeating: "X: y\r\n", count: 90).utf8)
                for byte in text {
                    drip.send([byte])
                    if let answer = TestResponse.read(drip.unread, method: .get) { return answer.value.status }
                    try await fixture.waitAtLeast(milliseconds: 20)
                }
                return 0
            }
            #expect(answer == 408)
            #expect(try await client.response().status == 408)
            try await client.untilEnd()
            #expect(fixture.backends[0].requests.all.isEmpty)
        }
    }

    @Test func silentClientsEnd() async throws {
        try await BalancerFixture.with(configure: { $0.limits.clientIdle = .seconds(4) }, script: { _, _ in .silence }) { fixture in
            let kept = try await fixture.client(sending: "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            let body = try await fixture.client(sending: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
            #expect(try await kept.response().status == 200)
            let silent = try await fixture.client()
            #expect(try await kept.untilEnd().isEmpty)
            #expect(try await body.response().status == 408)
            try await body.untilEnd()
            #expect(try await silent.untilEnd().isEmpty)
        }
    }
}
