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

    @Test func theHeadIsTheSameHoweverItIsCut() async throws {
        try await BalancerFixture.withHTTP2(script: { _, request in .ok(request.value("x-field") ?? "none") }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            let block = HTTP2Frame.block(HTTP2TestClient.request("GET", "/", [("x-field", "value")]))
            var stream: Int32 = 1
            for cut in 0...block.count {
                let continuation = HTTP2Frame(type: 9, flags: 4, stream: stream, payload: Array(block[cut...]))
                client.send(HTTP2Frame(type: 1, flags: 1, stream: stream, payload: Array(block[..<cut])), continuation)
                #expect(try await client.message(stream).text == "value", "cut at \(cut)")
                stream += 2
            }
            // Padded, with a priority, and byte by byte on the wire.
            let padded = HTTP2Frame(type: 1, flags: 0x2D, stream: stream, payload: [3] + [0, 0, 0, 0, 9] + block + [0, 0, 0])
            for byte in padded.bytes { client.client.send([byte]) }
            #expect(try await client.message(stream).text == "value")
            // Priorities, and extensions nobody knows, are left alone.
            client.send(HTTP2Frame(type: 2, stream: stream + 2, payload: [0, 0, 0, 0, 1]), HTTP2Frame(type: 0xBB, payload: [1, 2]))
            client.send(.headers(stream + 2, HTTP2TestClient.request("POST"), end: false))
            client.send(HTTP2Frame(type: 0, flags: 9, stream: stream + 2, payload: [2] + Array("padded".utf8) + [0, 0]))
            #expect(try await client.message(stream + 2).status == "200")
            #expect(try await fixture.backends[0].requests.until { $0.last?.method == "POST" }.last?.body == Array("padded".utf8))
        }
    }

    private typealias Fields = [(String, String)]

    private static let base: Fields = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a")]

    /// Behind a request that is in order.
    private static let additions: [Fields] = [
        [("X-Upper", "1")], [("connection", "close")], [("connection", "x-a")], [("keep-alive", "1")], [("proxy-connection", "close")],
        [("transfer-encoding", "chunked")], [("upgrade", "websocket")], [("te", "gzip")], [("te", "trailers, chunked")], [("x a", "1")],
        [("x:", "1")], [("", "1")], [("x-a", "1\r\nX-Evil: 1")], [("x-a", "1\nX-Evil: 1")], [("x-a", "1\0")], [("x-a", "1\r")],
        [("x-a", " 1")], [("x-a", "1\t")], [("x\r\nevil", "1")], [("cookie", "a=1\r\nX-Evil: 1")], [(":path", "/2")], [(":evil", "1")],
        [("x-a", "1"), (":scheme", "https")], [("host", "b")], [("host", "a"), ("host", "a")], [("host", "A")], [("content-length", "1")],
        [(":protocol", "websocket")], [("content-length", "-1")], [("content-length", "0"), ("content-length", "0")],
        [("content-length", "0, 0")], [("content-length", "+0")], [("content-length", "")], [("content-length", "18446744073709551616")],
        [("x-a", "1\u{1}")], (0..<110).map { ("x-\($0)", "1") }, (0..<9).map { ("x-\($0)", String(repeating: "1", count: 4000)) },
        [("x-a", String(repeating: "1", count: 33_000))],
    ]

    /// In place of one of the pseudo headers; nil leaves it out.
    private static let replacements: [(name: String, values: [String?])] = [
        (":method", [nil, "", "GE T", "GET / HTTP/1.1\r\nHost: b\r\n\r\nGET", "CONNECT"]), (":scheme", [nil, "https\r\nX: 1", "ftp"]),
        (":path", [nil, "", "nowhere", "*", "/ HTTP/1.1", "/\r\nX-Evil: 1", "/#x", "http://a/", "/\u{E9}"]),
        (":authority", [nil, "", "u@a", "a/b", "a\r\nX-Evil: 1", "a, b"]),
    ]

    private static let others: [Fields] = [
        [(":method", "CONNECT"), (":authority", "a:443")],
        [(":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "https"), (":path", "/"), (":authority", "a")],
        [(":method", "CONNECT"), (":protocol", "websocket"), (":path", "/"), (":authority", "a")],
    ]

    private static var refused: [Fields] {
        var all = others
        for addition in additions { all.append(base + addition) }
        for (name, values) in replacements {
            for value in values {
                all.append(base.compactMap { $0.0 == name ? value.map { (name, $0) } : $0 })
            }
        }
        return all
    }

    /// Each is refused alone, and no server hears of it; what a server would read otherwise than we do is how smuggling works.
    @Test(arguments: Self.refused)
    func whatIsRefused(_ fields: [(String, String)]) async throws {
        try await BalancerFixture.withHTTP2 { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            var frames = [HTTP2Frame.headers(1, fields)]
            if frames[0].payload.count > 16_384 {
                // More than a frame may have.
                let block = frames[0].payload
                frames = [HTTP2Frame(type: 1, flags: 1, stream: 1, payload: Array(block[..<16_384]))]
                let cuts = stride(from: 16_384, to: block.count, by: 16_384).map { Array(block[$0..<min($0 + 16_384, block.count)]) }
                frames += cuts.enumerated().map { HTTP2Frame(type: 9, flags: $0 == cuts.count - 1 ? 4 : 0, stream: 1, payload: $1) }
            }
            client.send(frames)
            let message = try await client.message(1)
            #expect(message.reset == 1 || message.status?.hasPrefix("4") == true, "\(fields)")
            #expect(message.reset == nil || message.heads.isEmpty)
            #expect(try await client.get(3, "/fine").status == "200")
            #expect(try await fixture.backends[0].requests.first().target == "/fine")
        }
    }

    /// A body that isn't as long as it was said to be is never a request.
    @Test(arguments: [(3, ["abcd"]), (3, ["ab", "cd"]), (5, ["abcd"]), (4, ["", "abc", ""])])
    func lengthsAreHeld(_ length: Int, _ pieces: [String]) async throws {
        try await BalancerFixture.withHTTP2 { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            client.send(.headers(1, HTTP2TestClient.request("POST", "/bad", [("content-length", "\(length)")]), end: false))
            client.send(pieces.enumerated().map { .data(1, $1, end: $0 == pieces.count - 1) })
            let message = try await client.message(1)
            #expect(message.reset == 1 && message.heads.isEmpty)
            #expect(try await client.get(3, "/fine").status == "200")
            #expect(try await fixture.backends[0].requests.until { $0.contains { $0.target == "/fine" } }.count == 1)
        }
    }

    @Test(arguments: [("connection", "x"), ("content-length", "3"), (":path", "/"), ("X-Upper", "1"), ("x", "a\r\nb: c"), ("host", "b")])
    func trailersAreJudged(_ name: String, _ value: String) async throws {
        try await BalancerFixture.withHTTP2 { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            client.send(.headers(1, HTTP2TestClient.request("POST", "/bad"), end: false), .data(1, "abc"), .headers(1, [(name, value)]))
            let message = try await client.message(1)
            #expect(message.reset == 1 || message.status == "400")
            #expect(try await client.get(3, "/fine").status == "200")
            #expect(try await fixture.backends[0].requests.until { $0.contains { $0.target == "/fine" } }.count == 1)
        }
    }
}
