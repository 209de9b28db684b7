// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// A server that is broken or malicious: what it sends is whole and one answer to one request, or nothing.
@Suite struct SmugglingResponseTests {
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    static let heads = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5", "Content-Length: +5", "Content-Length: 0x5", "Content-Length:", "Content-Length: -1",
        "Content-Length: 99999999999999999999", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding : chunked", "X: y\r\n folded", "X: y\nY: z", "X: y\rY: z", "X: a\u{00}b", ": y", "X Y: z",
    ]

    @Test(arguments: heads)
    func headsOfTwoMeanings(_ fields: String) async throws {
        try await BalancerFixture.with(script: { _, _ in .send("HTTP/1.1 200 OK\r\n\(fields)\r\n\r\n0\r\n\r\n") }) { fixture in
            let client = try await fixture.client()
            let answer = try await client.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", method: .post)
            #expect(answer.status == 502 && answer.text.contains("\"code\":\"bad_response\""), "\(fields)")
            // The request was in order, so the client may go on; the server's connection may not.
            #expect(try await client.request("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
            _ = try await fixture.backends[0].closures.first()
        }
    }

    @Test(arguments: [
        "HTTP/1.1 99 No\r\n\r\n", "HTTP/1.1 600 No\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "200 OK\r\n\r\n",
        "<html>",
    ])
    func statusLinesThatAreNone(_ answer: String) async throws {
        try await BalancerFixture.with(script: { _, _ in .sendThenClose(answer) }) { fixture in
            let answer = try await fixture.client().request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", method: .post)
            #expect(answer.status == 502)
        }
    }

    /// Bytes of a body where there is none must not be the next client's answer, whenever they come.
    @Test(arguments: [
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "hello"), ("HTTP/1.1 204 No Content\r\n\r\n", "hello"),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "hello"),
        ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
    ])
    func bodiesThatMayNotBe(_ head: String, _ body: String) async throws {
        for splits in [false, true] {
            try await BalancerFixture.with(script: { _, _ in .send(splits ? head : head + body) }) { fixture in
                let client = try await fixture.client()
                let first = try await client.request(Self.get)
                #expect([200, 204, 304].contains(first.status) && !first.text.contains("hello"))
                if splits {
                    try await fixture.backends[0].push(body)
                    // What comes while nobody waits ends the connection.
                    _ = try await fixture.backends[0].closures.first()
                }
                fixture.backends[0].become { _ in .ok("clean") }
                #expect(try await client.request(Self.get).text == "clean")
                #expect(try await fixture.backends[0].connectionCount >= 2)
            }
        }
    }

    @Test func bodiesOfHead() async throws {
        try await BalancerFixture.with(script: { _, _ in .ok("hello") }) { fixture in
            let client = try await fixture.client()
            let head = try await client.request("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", method: .head)
            #expect(head.value("content-length") == "5" && client.unread.isEmpty)
            #expect(try await client.request(Self.get).text == "hello")
        }
    }

    /// Nobody asked to change the protocol.
    @Test func a101WithoutBeingAsked() async throws {
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nGET /evil HTTP/1.1\r\n\r\n"
        try await BalancerFixture.with(script: { _, _ in .send(answer) }) { fixture in
            for request in [
                Self.get, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tls\r\n\r\n",
            ] {
                let answer = try await fixture.client().request(request)
                #expect(answer.status == 502 && !answer.text.contains("evil"))
            }
            let fields = fixture.backends[0].requests.all.flatMap { $0.values("upgrade") + $0.values("connection") }
            #expect(fields.isEmpty)
        }
    }

    /// Fields named in `Connection` end here, ours and the message's own stay.
    @Test func fieldsNamedInConnection() async throws {
        let fields = "Connection: Content-Length, Set-Cookie, X-Hop, close\r\nContent-Length: 2\r\nX-Hop: 1\r\nX-End: 2\r\n"
        try await BalancerFixture.with(script: { _, _ in .send("HTTP/1.1 200 OK\r\n\(fields)\r\nok") }) { fixture in
            let client = try await fixture.client()
            let answer = try await client.request(Self.get)
            #expect(answer.values("content-length") == ["2"] && answer.values("x-hop").isEmpty && answer.values("x-end") == ["2"])
            #expect(answer.cookie("KEYVANE_WEB") != nil && answer.values("connection").isEmpty)
            #expect(try await client.request(Self.get).text == "ok")
        }
    }
}
