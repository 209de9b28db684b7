// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// Bodies in both directions: streamed, never held as a whole, and cut short only visibly.
@Suite struct BodyTests {
    @Test func bodiesByLengthAndInChunks() async throws {
        try await BalancerFixture.with(script: { _, request in .ok(String(decoding: request.body, as: UTF8.self)) }) { fixture in
            let client = try await fixture.client()
            let plain = try await client.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
            #expect(plain.text == "hello")
            let chunked = try await client.request(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
            )
            #expect(chunked.text == "abcde")
            let again = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(again.status == 200)
        }
    }

    @Test func chunkedResponsesPassVerbatim() async throws {
        let body = "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n"
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n" + body
        try await BalancerFixture.with(script: { _, _ in .send(answer) }) { fixture in
            let client = try await fixture.client()
            for _ in 0..<2 {
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                let raw = try await client.take("the whole answer") { bytes -> ([UInt8], Int)? in
                    bytes.firstRange(of: Array("X-Trailer: 1\r\n\r\n".utf8)).map { (Array(bytes[..<$0.upperBound]), $0.upperBound) }
                }
                let text = String(decoding: raw, as: UTF8.self)
                #expect(text.hasSuffix("\r\n\r\n" + body) && text.contains("Trailer: X-Trailer\r\n"))
            }
        }
    }

    @Test func continueIsTheServersToSay() async throws {
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            request.target == "/no"
                ? .send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n") : .send("HTTP/1.1 100 Continue\r\n\r\n")
        }
        try await BalancerFixture.with(answersEarly: true, script: script) { fixture in
            let client = try await fixture.client()
            let head = "Host: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            #expect(try await client.request("PUT / HTTP/1.1\r\n" + head).status == 100)
            client.send("hello")
            try await fixture.backends[0].push("HTTP/1.1 204 No Content\r\n\r\n")
            #expect(try await client.response().status == 204)

            let other = try await fixture.client()
            let refused = try await other.request("PUT /no HTTP/1.1\r\n" + head)
            // Nobody can know whether the body follows: the connection must not be read any further as requests.
            #expect(refused.status == 401 && refused.value("connection") == "close")
            other.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try await other.untilEnd().isEmpty)

            let third = try await fixture.client()
            #expect(try await third.request("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\nContent-Length: 1\r\n\r\n").status == 417)
        }
    }

    /// A client that doesn't read must stop its server, not fill the balancer.
    @Test func slowReadersPauseTheServer() async throws {
        let size = 64 << 20
        try await BalancerFixture.with(script: { _, _ in .stream(size) }) { fixture in
            let client = try await fixture.client()
            try await client.pauseReading()
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try await fixture.backends[0].requests.first()
            // Long enough for everything to leave, if anything took it; sockets' buffers take some megabytes.
            let other = try await fixture.client()
            for _ in 0..<200 { _ = try await other.request("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n") }
            #expect(try await fixture.backends[0].unstreamed > size / 2)
            client.resumeReading()
            let body = try await client.take("the body") { bytes -> (Int, Int)? in
                TestResponse.read(bytes, method: .get).map { ($0.value.body.count, $0.used) }
            }
            #expect(body == size)
        }
    }

    @Test func slowServersPauseTheClient() async throws {
        try await BalancerFixture.with(script: { _, request in .ok("\(request.body.count)") }) { fixture in
            let size = 48 << 20
            let warm = try await fixture.client()
            _ = try await warm.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            try await fixture.backends[0].setReading(false)
            let client = try await fixture.client()
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n")
            client.send([UInt8](repeating: 0x61, count: size))
            for _ in 0..<200 { _ = try await warm.request("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n") }
            try await fixture.backends[0].setReading(true)
            #expect(try await client.response(to: .post).text == "\(size)")
        }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        "HTTP/1.1 200 OK\r\n\r\nabc",
    ])
    func serversThatDieWithinTheirAnswer(_ answer: String) async throws {
        try await BalancerFixture.with(script: { _, _ in .send(answer) }) { fixture in
            let client = try await fixture.client()
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try await client.take("the begun answer") { bytes -> (Bool, Int)? in
                bytes.suffix(3) == Array("abc".utf8)[...] ? (true, 0) : nil
            }
            try await fixture.backends[0].kill()
            let bytes = try await client.untilEnd()
            #expect(String(decoding: bytes, as: UTF8.self).hasSuffix("abc"))
            #expect(TestResponse.read(bytes, method: .get) == nil || answer.hasSuffix("\r\n\r\nabc"))
            // Without a length only a reset tells that something is missing.
            if !answer.contains("-") { #expect(try await client.wasReset()) }
        }
    }

    @Test func brokenChunksAreNotPassedOn() async throws {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        try await BalancerFixture.with(script: { _, _ in .send(answer) }) { fixture in
            let client = try await fixture.client()
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try await client.take("the begun answer") { bytes -> (Bool, Int)? in
                bytes.suffix(5) == Array("abc\r\n".utf8)[...] ? (true, 0) : nil
            }
            try await fixture.backends[0].push("zz\nevil")
            #expect(try await !String(decoding: client.untilEnd(), as: UTF8.self).contains("evil"))

            let other = try await fixture.client()
            other.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n")
            let refusal = try await other.response(to: .post)
            #expect(refusal.status == 400 && refusal.text.contains("bad_chunk"))
        }
    }

    /// What a server sends beyond its answer must not become the answer to somebody else.
    @Test func surplusBytesEndTheServersConnection() async throws {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        try await BalancerFixture.with(script: { _, _ in .send(answer) }) { fixture in
            let client = try await fixture.client()
            for _ in 0..<3 { #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text == "ok") }
            #expect(try await fixture.backends[0].connectionCount >= 3)
        }
    }
}
