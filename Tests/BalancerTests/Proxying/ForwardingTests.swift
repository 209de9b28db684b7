// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// What servers get and what clients get back.
@Suite struct ForwardingTests {
    private static let get = "GET /a?b=c HTTP/1.1\r\nHost: example.com:81\r\n\r\n"

    @Test func requestsShareAConnectionOnBothSides() async throws {
        try await BalancerFixture.with { fixture in
            let client = try await fixture.client()
            for _ in 0..<5 {
                let response = try await client.request(Self.get)
                #expect(response.status == 200)
                #expect(response.text == "web-1")
                #expect(response.value("connection") == nil)
            }
            let requests = fixture.backends[0].requests.all
            #expect(requests.count == 5)
            #expect(Set(requests.map(\.connection)).count == 1)
        }
    }

    @Test func serversAreToldOfTheClient() async throws {
        try await BalancerFixture.with { fixture in
            let client = try await fixture.client()
            let spoofed = """
                GET /a?b=c HTTP/1.1\r
                Host: example.com:81\r
                X-Forwarded-For: 6.6.6.6\r
                X-Forwarded-Proto: https\r
                X_Forwarded_Host: evil\r
                X-Forwarded-Prefix: /evil\r
                X-Real-IP: 6.6.6.6\r
                Forwarded: for=6.6.6.6\r
                X-Request-Id: mine\r
                traceparent: 00-11111111111111111111111111111111-2222222222222222-01\r
                tracestate: a=b\r
                Proxy: http://evil\r
                X-Other: kept\r
                \r\n
                """
            _ = try await client.request(spoofed)
            let request = try await fixture.backends[0].requests.first()
            #expect(request.target == "/a?b=c")
            #expect(request.values("host") == ["example.com:81"])
            #expect(request.values("x-forwarded-for") == ["127.0.0.1"])
            #expect(request.values("x-forwarded-proto") == ["http"])
            #expect(request.values("x-forwarded-host") == ["example.com:81"])
            #expect(request.values("x-forwarded-port") == [fixture.addresses.listeners[0].port.map { "\($0)" } ?? ""])
            #expect(request.values("x-real-ip") == ["127.0.0.1"])
            #expect(request.values("forwarded") == ["for=127.0.0.1;host=\"example.com:81\";proto=http"])
            #expect(request.values("x-other") == ["kept"])
            #expect(request.value("x-request-id")?.count == 32)
            #expect(request.values("traceparent").count == 1)
            #expect(request.value("traceparent")?.hasPrefix("00-\(request.value("x-request-id") ?? "")-") == true)
            #expect(!request.head.contains("6.6.6.6") && !request.head.contains("evil") && !request.head.contains("tracestate"))
        }
    }

    @Test func trustedProxiesAreBelieved() async throws {
        let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
            configuration.trustedProxies = [try AddressRange(parsing: "127.0.0.0/8"), try AddressRange(parsing: "10.0.0.0/8")]
        }
        try await BalancerFixture.with(configure: configure) { fixture in
            let client = try await fixture.client()
            _ = try await client.request(
                """
                GET / HTTP/1.1\r
                Host: a\r
                X-Forwarded-For: 6.6.6.6, 198.51.100.7\r
                X-Forwarded-For: 10.1.2.3\r
                X-Forwarded-Proto: https\r
                X-Forwarded-Host: public.example\r
                X-Forwarded-Prefix: /p\r
                Forwarded: for=198.51.100.7\r
                X-Request-Id: outer-1\r
                traceparent: 00-11111111111111111111111111111111-2222222222222222-01\r
                tracestate: a=b\r
                \r\n
                """
            )
            let request = try await fixture.backends[0].requests.first()
            #expect(request.values("x-forwarded-for") == ["6.6.6.6, 198.51.100.7, 10.1.2.3, 127.0.0.1"])
            // The nearest hop that isn't ours, not what a client wrote in front of it.
            #expect(request.values("x-real-ip") == ["198.51.100.7"])
            #expect(request.values("x-forwarded-proto") == ["https"])
            #expect(request.values("x-forwarded-host") == ["public.example"])
            #expect(request.values("x-forwarded-prefix") == ["/p"])
            #expect(request.values("x-request-id") == ["outer-1"])
            #expect(request.values("traceparent") == ["00-11111111111111111111111111111111-2222222222222222-01"])
            #expect(request.values("tracestate") == ["a=b"])
            #expect(request.value("forwarded")?.hasPrefix("for=198.51.100.7, for=127.0.0.1;") == true)
        }
    }

    /// W3C Trace Context: a valid trace goes on as it came with all of its state; one that isn't valid is begun anew, and its state with it.
    @Test func tracesOfTrustedProxiesAreChecked() async throws {
        let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
            configuration.trustedProxies = [try AddressRange(parsing: "127.0.0.0/8")]
            configuration.accessLog = AccessLogRule(.json)
        }
        try await BalancerFixture.with(configure: configure) { fixture in
            let client = try await fixture.client()
            let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
            func sent(_ fields: String) async throws -> BackendRequest {
                let before = fixture.backends[0].requests.all.count
                _ = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\(fields)tracestate: a=b\r\ntracestate: c=d\r\n\r\n")
                return fixture.backends[0].requests.all[before]
            }
            let later = try await sent("traceparent: cc-\(trace)-00f067aa0ba902b7-01-more\r\n")
            #expect(later.values("traceparent") == ["cc-\(trace)-00f067aa0ba902b7-01-more"])
            #expect(later.values("tracestate") == ["a=b", "c=d"])
            // Without an id of its own, the request is called as its trace.
            #expect(later.values("x-request-id") == [trace])
            for bad in [
                "traceparent: 00-\(trace)-00f067aa0ba902b7-01-more\r\n", "traceparent: 00-\(trace.uppercased())-00f067aa0ba902b7-01\r\n",
                "traceparent: ff-\(trace)-00f067aa0ba902b7-01\r\n", "traceparent: 00-\(trace)-0000000000000000-01\r\n",
                "traceparent: 00-\(String(repeating: "0", count: 32))-00f067aa0ba902b7-01\r\n", "traceparent: \(trace)\r\n",
                String(repeating: "traceparent: 00-\(trace)-00f067aa0ba902b7-01\r\n", count: 2), "",
            ] {
                let request = try await sent("X-Request-Id: has blanks\r\n" + bad)
                let id = try #require(request.value("x-request-id"))
                #expect(id.wholeMatch(of: #/[0-9a-f]{32}/#) != nil && request.values("x-request-id").count == 1, "\(bad)")
                #expect(request.values("traceparent").count == 1 && request.value("traceparent")?.hasPrefix("00-\(id)-") == true, "\(bad)")
                #expect(request.values("tracestate").isEmpty, "\(bad)")
            }
            // The balancer's own answers name the request too.
            fixture.backends[0].become { _ in .sendThenClose("nonsense") }
            let own = try await client.request("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine-9\r\n\r\n")
            #expect(own.status == 502 && own.values("x-request-id") == ["mine-9"])
        }
    }

    /// Fields named in `Connection` go before ours come: naming one of ours must not remove it (CVE-2024-45410 of another proxy).
    @Test func hopByHopFieldsEndHere() async throws {
        let fields = "Connection: X-Hop, keep-alive\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nX-End: 2\r\n"
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\(fields)\r\nok"
        try await BalancerFixture.with(script: { _, _ in .send(answer) }) { fixture in
            let client = try await fixture.client()
            let response = try await client.request(
                """
                GET / HTTP/1.1\r
                Host: a\r
                Connection: X-Mine, X-Forwarded-For, x-real-ip, X-Request-Id, Content-Length, Host\r
                Keep-Alive: 5\r
                Proxy-Connection: keep-alive\r
                Proxy-Authorization: Basic eA==\r
                TE: gzip\r
                X-Mine: 1\r
                X-Kept: 2\r
                Content-Length: 0\r
                \r\n
                """
            )
            #expect(response.values("x-hop").isEmpty && response.values("keep-alive").isEmpty && response.values("connection").isEmpty)
            #expect(response.values("x-end") == ["2"])
            let request = try await fixture.backends[0].requests.first()
            for gone in ["connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "x-mine"] {
                #expect(request.values(gone).isEmpty, "\(gone)")
            }
            #expect(request.values("x-forwarded-for") == ["127.0.0.1"])
            #expect(request.values("x-real-ip") == ["127.0.0.1"])
            #expect(request.values("x-request-id").count == 1)
            #expect(request.values("host") == ["a"] && request.values("content-length") == ["0"] && request.values("x-kept") == ["2"])
        }
    }

    /// Trailers are passed on, so servers may know that their client takes them.
    @Test func trailersAreAskedFor() async throws {
        try await BalancerFixture.with { fixture in
            let client = try await fixture.client()
            _ = try await client.request("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5, trailers\r\nConnection: TE\r\n\r\n")
            let request = try await fixture.backends[0].requests.first()
            #expect(request.values("te") == ["trailers"] && request.values("connection") == ["TE"])
        }
    }

    @Test func locationsOfTheServerBecomeOurs() async throws {
        try await BalancerFixture.with { fixture in
            let address = try await fixture.backends[0].endpoint.description
            let cases = [
                ("http://\(address)/x?y", "http://site.example/x?y"), ("http://\(address)", "http://site.example"),
                ("http://\(address)0/x", "http://\(address)0/x"), ("https://\(address)/x", "https://\(address)/x"), ("/x", "/x"),
                ("http://other/x", "http://other/x"),
            ]
            let client = try await fixture.client()
            for (given, expected) in cases {
                fixture.backends[0].become { _ in
                    .send("HTTP/1.1 302 Found\r\nLocation: \(given)\r\nContent-Location: \(given)\r\nContent-Length: 0\r\n\r\n")
                }
                let response = try await client.request("GET / HTTP/1.1\r\nHost: site.example\r\n\r\n")
                #expect(response.value("location") == expected)
                #expect(response.value("content-location") == expected)
            }
        }
    }

    @Test func responsesWithoutABody() async throws {
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            switch request.target {
            case "/204": .send("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
            case "/304": .send("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 500\r\n\r\n")
            default: .send("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
            }
        }
        try await BalancerFixture.with(script: script) { fixture in
            let client = try await fixture.client()
            let head = try await client.request("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", method: .head)
            #expect(head.value("content-length") == "500" && head.body.isEmpty)
            let none = try await client.request("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(none.status == 204 && none.values("content-length").isEmpty)
            let same = try await client.request("GET /304 HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(same.status == 304 && same.value("content-length") == "500")
            #expect(try await fixture.backends[0].connectionCount >= 1)
        }
    }

    @Test func interimResponsesPass() async throws {
        let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        try await BalancerFixture.with(script: { _, _ in .send(answer) }) { fixture in
            let client = try await fixture.client()
            let hints = try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(hints.status == 103 && hints.value("link") == "</a>" && hints.values("set-cookie").isEmpty)
            #expect(try await client.response().text == "ok")
            let old = try await fixture.client()
            let final = try await old.request("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            #expect(final.status == 200)
        }
    }

    @Test func oldClients() async throws {
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            request.target == "/chunked"
                ? .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX: y\r\n\r\n")
                : .ok()
        }
        try await BalancerFixture.with(script: script) { fixture in
            let plain = try await fixture.client()
            let answer = try await plain.request("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            #expect(answer.value("connection") == "close")
            try await plain.untilEnd()

            let kept = try await fixture.client()
            for _ in 0..<2 {
                let answer = try await kept.request("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
                #expect(answer.value("connection") == "keep-alive")
            }
            // Chunks are HTTP/1.1: an older client gets the content and the end of the connection.
            kept.send("GET /chunked HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            let text = String(decoding: try await kept.untilEnd(), as: UTF8.self)
            #expect(text.hasSuffix("\r\n\r\nabcdefg"))
            #expect(!text.lowercased().contains("transfer-encoding") && !text.lowercased().contains("trailer"))
            #expect(text.contains("Connection: close\r\n"))
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        try await BalancerFixture.with(script: { _, request in .ok(request.target) }) { fixture in
            let client = try await fixture.client()
            let targets = (0..<50).map { "/\($0)" }
            let own = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
            let post = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            client.send(targets.map { "GET \($0) HTTP/1.1\r\nHost: a\r\n\r\n" + own + post }.joined())
            for target in targets {
                #expect(try await client.response().text == target)
                #expect(try await client.response().text.contains("alive"))
                #expect(try await client.response().text == "/p")
            }
        }
    }

    @Test func closingIsAgreedOn() async throws {
        try await BalancerFixture.with(script: { _, request in
            request.target == "/end" ? .sendThenClose("HTTP/1.1 200 OK\r\n\r\nall of it") : .ok()
        }) { fixture in
            let client = try await fixture.client()
            let answer = try await client.request("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            #expect(answer.value("connection") == "close")
            #expect(try await client.untilEnd().isEmpty)

            let other = try await fixture.client()
            other.send("GET /end HTTP/1.1\r\nHost: a\r\n\r\n")
            let text = String(decoding: try await other.untilEnd(), as: UTF8.self)
            #expect(text.hasSuffix("\r\n\r\nall of it") && text.contains("Connection: close"))
            #expect(try await !other.wasReset())
        }
    }

    @Test func halfClosedClientsGetTheirAnswer() async throws {
        try await BalancerFixture.with { fixture in
            let client = try await fixture.client()
            client.send(Self.get)
            client.finishSending()
            #expect(String(decoding: try await client.untilEnd(), as: UTF8.self).hasSuffix("web-1"))
        }
    }
}
