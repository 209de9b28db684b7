// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// The published ways of making two parsers disagree: each is answered with a fault, and nothing of it reaches a server.
@Suite struct SmugglingRefusalTests {
    private static let post = "POST / HTTP/1.1\r\nHost: a\r\n"
    private static let chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
    private static let end = "0\r\n\r\n"

    /// A server that merges trailers into its fields would believe the client what only a proxy may say.
    @Test(arguments: ["X-Forwarded-For", "X_Real_IP", "Forwarded", "X-Request-ID", "Content_Length", "traceparent", "Proxy-Authorization"])
    func trailersOfAProxy(_ name: String) async throws {
        try await refused(Self.chunked + "0\r\n\(name): 10.0.0.1\r\n\r\n")
    }

    static let lengths = [
        "+5", "-5", "0x5", "5 5", "5,5", "5, 6", "5;", "5.0", "5e1", "\u{0B}5", "5\u{0C}", "'5'", "\"5\"", "٥", "5\u{00}",
        "18446744073709551617", "9223372036854775808",
    ]

    @Test(arguments: lengths)
    func lengthsThatAreNoNumber(_ length: String) async throws {
        try await refused(Self.post + "Content-Length: \(length)\r\n\r\nhello")
    }

    static let codings = [
        "identity", "chunked, chunked", "chunked,", ",chunked", "chunked;q=1", "\"chunked\"", "x-chunked", "xchunked", "CHUNKED", "chunKed",
        "chunked, identity", "gzip", "chunked\u{00}", "\u{0B}chunked", "chunked\u{0C}", "chu nked", "", "cow", "chunk\r\n ed",
    ]

    @Test(arguments: codings)
    func codingsThatAreNotChunked(_ coding: String) async throws {
        try await refused(Self.post + "Transfer-Encoding: \(coding)\r\n\r\n" + Self.end)
    }

    static let heads = [
        // Two framings in every order and disguise.
        "Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "content-length: 5\r\nTRANSFER-ENCODING: chunked", "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\ncontent-length: 6",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding\r\n: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked", "X: y\r\n\tfolded", "X: y\rTransfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked",
        "X: y\r\rTransfer-Encoding: chunked", "X: a\u{00}b", "X\u{00}: a", "X: a\u{7F}", "X\u{80}: a", "(X): a", "X Y: a", ": a", "X",
        "=: a\r\nY",
        "Host: b", "Host : b", "Connection: x\r\nHost: a",
    ]

    @Test(arguments: heads)
    func headsOfTwoMeanings(_ fields: String) async throws {
        try await refused(Self.post + fields + "\r\n\r\n" + Self.end)
    }

    static let chunks = [
        "+1\r\nx\r\n", "-1\r\nx\r\n", "0x1\r\nx\r\n", " 1\r\nx\r\n", "1 \r\nx\r\n", "1\t\r\nx\r\n", "1\nx\r\n", "1\rx\r\n", "1g\r\nx\r\n",
        "\r\nx\r\n",
        ";a\r\nx\r\n", "1;a\nx\r\n", "1;a\u{00}\r\nx\r\n", "10000000000000000\r\nx\r\n", "FFFFFFFFFFFFFFFF\r\nx\r\n", "1\r\nx\n",
        "1\r\nxy\r\n",
        "1\r\nx\r", "0000000000000001\r\nx\r\n", "1.\r\nx\r\n", "0_1\r\nx\r\n", "0\r\nX : y\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nHost: b\r\n\r\n", "0\r\nContent-Length: 9\r\n\r\n", "0\r\n X: y\r\n\r\n", "0\nX: y\r\n\r\n",
    ]

    @Test(arguments: chunks)
    func chunksOfTwoMeanings(_ chunk: String) async throws {
        try await refused(Self.chunked + chunk + Self.end, mayHaveBegun: true)
    }

    static let lines = [
        "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", "GET\t/ HTTP/1.1", "GET / http/1.1", "GET / HTTP/1.2", "GET / HTTP/3",
        "GET /",
        "GET / HTTP/01.1", "GET / HTTP/1.1x", " GET / HTTP/1.1", "G\u{00}ET / HTTP/1.1", "GET /\u{00} HTTP/1.1", "GET /\u{E9} HTTP/1.1",
        "GET /#f HTTP/1.1",
        "GET x HTTP/1.1", "GET * HTTP/1.1", "GET http://b/ HTTP/1.1", "GET https://a/ HTTP/1.1", "CONNECT b:443 HTTP/1.1",
        "OPTIONS *x HTTP/1.1",
        "\r\n\r\nGET / HTTP/1.1", "GET / HTTP/1.1\r", "GET / HTTP/1.1\n",
    ]

    @Test(arguments: lines)
    func requestLinesOfTwoMeanings(_ line: String) async throws {
        try await refused(line + "\r\nHost: a\r\n\r\n")
    }

    @Test(arguments: [
        "", "a b", "a,b", "a/b", "a?b", "a#b", "u@a", "a:99999", "a:x", "a:80:80", "[::1", "::1", "a\\b", "<a>", "a\u{00}", "é",
    ])
    func hostsThatAreNone(_ host: String) async throws {
        try await refused("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
    }

    /// One answer, a 4xx or 5xx, then the end; no whole request arrives, and nothing of what came behind.
    private func refused(_ request: String, mayHaveBegun: Bool = false) async throws {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        try await BalancerFixture.with(script: { _, _ in .ok() }) { fixture in
            let client = try await fixture.client()
            client.send(request + smuggled)
            let answer = try await client.response()
            #expect((400...505).contains(answer.status), "\(request.debugDescription) gets \(answer.status)")
            #expect(try await client.untilEnd().isEmpty)
            #expect(fixture.backends[0].requests.all.isEmpty)
        }
    }
}
