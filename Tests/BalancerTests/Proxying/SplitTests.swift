// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// The same bytes in other pieces mean the same.
@Suite struct SplitTests {
    private static let exchange = """
        POST /a?b HTTP/1.1\r
        Host: a\r
        Cookie: x=1; KEYVANE_WEB=no; y=2\r
        Transfer-Encoding: chunked\r
        \r
        3\r
        abc\r
        0\r
        X-T: 1\r
        \r
        GET /second HTTP/1.1\r
        Host: a\r
        Content-Length: 2\r
        \r
        de
        """

    @Test func everySplitOfARequest() async throws {
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            .ok(request.target + String(decoding: request.body, as: UTF8.self))
        }
        try await BalancerFixture.with(loops: 2, script: script) { fixture in
            let bytes = Array(Self.exchange.utf8)
            for split in 1..<bytes.count {
                let client = try await fixture.client()
                client.send(Array(bytes[..<split]))
                // A round trip of another connection: what was sent has been read by then, mostly.
                if split % 8 == 0 { _ = try await fixture.serversDocument() }
                client.send(Array(bytes[split...]))
                let (first, second) = (try await client.response(to: .post), try await client.response())
                #expect(first.text == "/a?babc" && second.text == "/secondde", "split at \(split)")
                client.close()
            }
            let cookies = Set(fixture.backends[0].requests.all.filter { $0.method == "POST" }.map { $0.values("cookie") })
            #expect(cookies == [["x=1; y=2"]])
        }
    }

    @Test func byteByByte() async throws {
        try await BalancerFixture.with(script: { _, request in .ok(request.target) }) { fixture in
            let client = try await fixture.client()
            for byte in Self.exchange.utf8 {
                client.send([byte])
                try await fixture.waitAtLeast(milliseconds: 1)
            }
            let (first, second) = (try await client.response(to: .post), try await client.response())
            #expect(first.text == "/a?b" && second.text == "/second")
        }
    }

    @Test func everySplitOfAResponse() async throws {
        let answer = Array(
            "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n3\r\nabc\r\n0\r\n\r\n".utf8
        )
        try await BalancerFixture.with(script: { _, _ in .silence }) { fixture in
            for split in 1..<answer.count {
                let client = try await fixture.client()
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try await fixture.backends[0].requests.until { $0.count == split }
                try await fixture.backends[0].push(String(decoding: answer[..<split], as: UTF8.self))
                _ = try await fixture.backends[0].connectionCount
                try await fixture.backends[0].push(String(decoding: answer[split...], as: UTF8.self))
                #expect(try await client.response().status == 103, "split at \(split)")
                let final = try await client.response()
                #expect(final.text == "abc" && final.value("x") == "y")
                client.close()
            }
            // One connection to the server carried them all.
            #expect(Set(fixture.backends[0].requests.all.map(\.connection)).count == 1)
        }
    }
}
