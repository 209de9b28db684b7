// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import TestSupport
import Testing

/// Bad input below the level of JSON: media types, lengths, and what is no HTTP at all.
@Suite(.serialized) struct WireInputTests {
    private static let variable = TestAPI.path + "/variables/A"

    @Test func onlyJSONIsRead() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            func put(_ type: String?) async throws -> PlainAnswer {
                let body = #"{"value":"a"}"#
                let head = "PUT \(Self.variable) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer \(TestAPI.rootToken)\r\n"
                let fields = (type.map { "Content-Type: \($0)\r\n" } ?? "") + "Content-Length: \(body.utf8.count)\r\n\r\n"
                return try #require(PlainAnswer(try await api.exchange(head + fields + body)))
            }
            for type in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\"", nil] {
                #expect([200, 201].contains(try await put(type).status), "\(type ?? "none")")
            }
            for type in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/jsonp"] {
                let answer = try await put(type)
                #expect(answer.status == 415, "\(type)")
                #expect(answer["code"]?.text == "unsupported_media_type")
                try Golden.expect(answer, "wrong-media-type")
            }
        }
    }

    /// Without a length nobody can refuse the body beforehand.
    @Test func anOversizedBodyInPiecesIsRefusedToo() async throws {
        try await withAPI { api in
            _ = try await api.seed()
            let head = "PUT \(Self.variable) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer \(TestAPI.rootToken)\r\n"
            let piece = "10000\r\n" + String(repeating: "x", count: 65_536) + "\r\n"
            let chunked = head + "Transfer-Encoding: chunked\r\n\r\n"
            let refused = try await api.exchange(chunked + String(repeating: piece, count: 20) + "0\r\n\r\n")
            #expect(PlainAnswer(refused)?.status == 413)
            let pieces = "5\r\n{\"val\r\n9\r\nue\":\"in p\r\n7\r\nieces\"}\r\n0\r\n\r\n"
            #expect(PlainAnswer(try await api.exchange(chunked + pieces))?["value"]?.text == "in pieces")
        }
    }

    @Test func whatIsNotHTTPEndsItsConnectionOnly() async throws {
        try await withAPI { api in
            let hundredKiB = String(repeating: "a", count: 100 * 1024)
            for text in [
                "\u{16}\u{3}\u{1}\u{2}\u{0}garbage\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
                "GET / HTTP/1.1\r\nX-Filler: \(hundredKiB)\r\n\r\n",
                "GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "GET /v1/whoami HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n",
                "PUT \(Self.variable) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            ] {
                let bytes = try await api.exchange(text, finishing: true)
                let status = PlainAnswer(bytes)?.status
                #expect(bytes.isEmpty || status == 400 || status == 401, "\(text.prefix(20))")
            }
            #expect(try await api.http(nil).call("GET", "/livez").status == 200)
        }
    }

    @Test func pagesOfListedOriginsMayAsk() async throws {
        try await withAPI(configure: { $0.origins = ["https://console.example"] }) { api in
            let client = api.http(TestAPI.rootToken)
            let page = ("Origin", "https://Console.example")
            let answer = try await client.call("GET", "/v1/whoami", fields: [page])
            #expect(answer.fields["access-control-allow-origin"] == "https://Console.example")
            #expect(answer.fields["access-control-expose-headers"]?.contains("ETag") == true)
            #expect(answer.fields["vary"] == "Origin")
            // Errors are answers, too, and a page must be able to read why.
            let problem = try await api.http(nil).call("GET", "/v1/whoami", fields: [page])
            #expect(problem.status == 401 && problem.fields["access-control-allow-origin"] != nil)
            let asks = ("Access-Control-Request-Method", "PUT")
            let preflight = try await api.http(nil).call("OPTIONS", Self.variable, fields: [page, asks])
            #expect(preflight.status == 204)
            #expect(preflight.fields["access-control-allow-methods"]?.contains("PUT") == true)
            #expect(preflight.fields["access-control-allow-headers"]?.contains("If-Match") == true)
            let other = try await client.call("GET", "/v1/whoami", fields: [("Origin", "https://evil.example")])
            #expect(other.status == 200 && other.fields["access-control-allow-origin"] == nil)
            let refused = try await api.http(nil).call("OPTIONS", Self.variable, fields: [("Origin", "https://evil.example"), asks])
            #expect(refused.fields["access-control-allow-origin"] == nil)
        }
    }

    @Test func requestIDsAreTakenOrMade() async throws {
        try await withAPI { api in
            func identity(_ fields: (String, String)...) async throws -> String {
                try await api.http(nil).call("GET", "/v1/whoami", fields: fields).fields["x-request-id"] ?? ""
            }
            #expect(try await identity(("X-Request-Id", "abc-123:x")) == "abc-123:x")
            let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
            #expect(try await identity(("traceparent", "00-\(trace)-00f067aa0ba902b7-01")) == trace)
            #expect(try await identity(("X-Request-Id", "mine"), ("traceparent", "00-\(trace)-00f067aa0ba902b7-01")) == "mine")
            for bad in ["a b", "a\"b", "é", String(repeating: "x", count: 129)] {
                #expect(try await identity(("X-Request-Id", bad)).wholeMatch(of: #/[0-9a-f]{32}/#) != nil, "\(bad.prefix(9))")
            }
            // What breaks the rules of W3C Trace Context names no trace; a later version may say more.
            for bad in [
                "00-\(trace)-00f067aa0ba902b7", "ff-\(trace)-00f067aa0ba902b7-01", "00-\(trace.uppercased())-00f067aa0ba902b7-01",
                "00-\(trace)-0000000000000000-01", "00-\(String(repeating: "0", count: 32))-00f067aa0ba902b7-01",
                "00-\(trace)-00f067aa0ba902b7-01-x", "00-\(trace)-00f067aa0ba902b7-1", "\(trace)",
            ] {
                #expect(try await identity(("traceparent", bad)) != trace, "\(bad)")
            }
            #expect(try await identity(("traceparent", "01-\(trace)-00f067aa0ba902b7-01-more")) == trace)
            let (first, second) = (try await identity(), try await identity())
            #expect(first != second)
        }
    }
}
