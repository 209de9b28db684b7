// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// Strict is not picky: what browsers, tools and libraries send is served.
@Suite struct OrdinaryClientTests {
    static let requests: [(String, String)] = [
        (
            "Chrome",
            "GET /a%20b?x={1|2}^[3]'\"&y=%C3%A9 HTTP/1.1\r\nHost: shop.example:8080\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n"
                + "sec-ch-ua: \"Chromium\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n"
                + "Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
                + "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nSec-Fetch-Site: none\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
                + "Accept-Language: de-DE,de;q=0.9\r\nCookie: a=\"b\"; c={\"d\":1}; e\r\nPriority: u=0, i\r\n\r\n"
        ),
        (
            "Firefox",
            "GET / HTTP/1.1\r\nHost: [::1]:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0\r\n"
                + "Accept: text/html\r\nAccept-Encoding: gzip, deflate, br\r\nDNT: 1\r\nSec-GPC: 1\r\nConnection: keep-alive\r\nTE: trailers\r\n\r\n"
        ),
        ("curl", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"),
        (
            "curl form",
            "POST /f HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nContent-Length: 3\r\n"
                + "Content-Type: application/x-www-form-urlencoded\r\n\r\na=b"
        ),
        (
            "curl chunked",
            "PUT /f HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/7.88.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n0\r\n\r\n"
        ),
        ("wrk", "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n"),
        ("ab", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: localhost:8080\r\nUser-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n"),
        (
            "h2load over HTTP/1.1",
            "GET / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: h2load nghttp2/1.52.0\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n\r\n"
        ),
        (
            "Python http.client",
            "POST / HTTP/1.1\r\nHost: localhost:8080\r\nAccept-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi"
        ),
        (
            "Python requests",
            "DELETE /x HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: python-requests/2.28.1\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n"
                + "Connection: keep-alive\r\nContent-Length: 0\r\n\r\n"
        ),
        (
            "Node http",
            "POST / HTTP/1.1\r\nHost: localhost:8080\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        ),
        (
            "Node fetch",
            "GET / HTTP/1.1\r\nhost: localhost:8080\r\nconnection: keep-alive\r\naccept: */*\r\naccept-language: *\r\nsec-fetch-mode: cors\r\n"
                + "user-agent: node\r\naccept-encoding: gzip, deflate\r\n\r\n"
        ),
        (
            "Go",
            "PATCH / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 2\r\nAccept-Encoding: gzip\r\n\r\nhi"
        ),
        (
            "Java",
            "GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 0\r\nHost: localhost:8080\r\nUser-Agent: Java\r\n\r\n"
        ),
        ("an empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            "unusual but right",
            "REPORT /%00;a=b/../c HTTP/1.1\r\nHost: A.example.\r\nX-Empty:\r\nX-Tab:\ta\t b\r\nContent-Length:  0  \r\n\r\n"
        ),
    ]

    @Test(arguments: requests.map(\.0))
    func isServed(_ name: String) async throws {
        let request = try #require(Self.requests.first { $0.0 == name }?.1)
        try await BalancerFixture.with(script: { _, _ in .ok("served") }) { fixture in
            let client = try await fixture.client()
            for _ in 0..<2 {
                let answer = try await client.request(request)
                #expect(answer.status == 200 && answer.text == "served")
            }
            #expect(fixture.backends[0].requests.all.count == 2)
        }
    }
}
