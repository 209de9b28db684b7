// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// What a response can be.
@Suite struct HTTP2ResponseTests {
    @Test func responsesWithoutABody() async throws {
        try await BalancerFixture.withHTTP2(script: { _, request in
            switch request.target {
            case "/204": .send("HTTP/1.1 204 No Content\r\n\r\n")
            case "/304": .send("HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n")
            case "/empty": .ok("")
            case "/chunks": .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            default: .send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
            }
        }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            let head = try await client.get(1, method: "HEAD")
            #expect(head.status == "200" && head.value("content-length") == "1234" && head.body.isEmpty && head.isEnded)
            #expect(try await client.get(3, "/204").status == "204")
            #expect(try await client.get(5, "/304").value("content-length") == "77")
            #expect(try await client.get(7, "/empty").value("content-length") == "0")
            let chunks = try await client.get(9, "/chunks")
            #expect(chunks.isEnded && chunks.body.isEmpty && chunks.value("transfer-encoding") == nil)
            #expect(client.messages.values.allSatisfy { $0.reset == nil })
        }
    }

    @Test func interimHeadsAndTrailersBothWays() async throws {
        let answer =
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "3\r\nabc\r\n0\r\nX-Sum: 17\r\nX-More: y\r\n\r\n"
        try await BalancerFixture.withHTTP2(script: { _, _ in .send(answer) }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            client.send(
                .headers(1, HTTP2TestClient.request("POST"), end: false),
                .data(1, "body"),
                .headers(1, [("x-checksum", "42")], end: true)
            )
            let message = try await client.message(1)
            #expect(message.heads.count == 3 && message.heads[0].contains { $0.name == "link" })
            #expect(message.text == "abc" && message.value("trailer") == "X-Sum")
            #expect(message.trailers.map(\.name) == ["x-sum", "x-more"] && message.trailers.map(\.value) == ["17", "y"])
            let request = try await fixture.backends[0].requests.first()
            #expect(request.trailers.map(\.name) == ["x-checksum"] && request.body == Array("body".utf8))
            // With a declared length there is no place for them.
            client.send(
                .headers(3, HTTP2TestClient.request("POST", "/", [("content-length", "4")]), end: false),
                .data(3, "body"),
                .headers(3, [("x-checksum", "42")], end: true)
            )
            #expect(try await client.message(3).text == "abc")
            #expect(try await fixture.backends[0].requests.until { $0.count == 2 }[1].trailers.isEmpty)
        }
    }

    @Test(arguments: [
        BackendAction.sendThenClose("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
        .sendThenReset("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"),
        .sendThenClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"),
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\nevil"), .sendThenReset("HTTP/1.1 200 OK\r\n\r\nabc"),
    ])
    func brokenResponsesAreNoCleanEnd(_ action: BackendAction) async throws {
        try await BalancerFixture.withHTTP2(script: { _, request in request.target == "/" ? action : .ok() }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            let message = try await client.get(1)
            // A reset may overtake the server's bytes altogether; then there is an error page.
            #expect(message.reset == 2 && !message.isEnded && !message.text.contains("evil") || message.status == "502")
            #expect(try await client.get(3, "/fine").text == "ok")
        }
    }

    @Test func earlyAnswersStopTheUpload() async throws {
        let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"
        try await BalancerFixture.withHTTP2(answersEarly: true, script: { _, _ in .send(answer) }) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            client.send(.headers(1, HTTP2TestClient.request("POST"), end: false), .data(1, "begun"))
            try await client.until("the reset") { $0.messages[1]?.reset != nil }
            let message = try #require(client.messages[1])
            #expect(message.status == "413" && message.text == "big" && message.isEnded && message.reset == 0)
            // What was under way is dropped, and the connection goes on.
            client.send(.data(1, "too late", end: true))
            #expect(try await client.get(3, "/livez").status == "200")
        }
    }

    @Test func errorPages() async throws {
        try await BalancerFixture.withHTTP2(dead: ["web-1"]) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            let problem = try await client.get(1)
            #expect(problem.status == "503" && problem.value("content-type") == "application/problem+json")
            #expect(problem.value("connection") == nil && problem.value("retry-after") != nil && problem.isEnded)
            let page = try await client.get(3, "/", [("accept", "text/html")])
            #expect(page.value("content-type")?.hasPrefix("text/html") == true)
            let head = try await client.get(5, method: "HEAD")
            #expect(head.status == "503" && head.body.isEmpty && head.isEnded)
            #expect(try await client.get(7, "/metrics").status == "404")
        }
    }

    /// What is refused before there is any text of it is told, counted and dressed like every other refusal.
    @Test func refusalsBeforeTheText() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            $0.accessLog = AccessLogRule(.json)
            $0.securityHeaders = .modern
        }
        try await BalancerFixture.withHTTP2(configure: configure) { fixture in
            let keys = ["connect_method", "http2_protocol"].map { "balancer_rejected_total{reason=\"\($0)\"}" }
            let before = keys.map { RecordedMetrics.shared.value($0) ?? 0 }
            let client = try await HTTP2TestClient.connect(fixture)
            client.send(.headers(1, [(":method", "CONNECT"), (":authority", "a:443")]))
            let refused = try await client.message(1)
            #expect(refused.status?.hasPrefix("4") == true && refused.isEnded)
            #expect(refused.value("x-content-type-options") == "nosniff" && refused.value("connection") == nil)
            let line = try await eventually("a log line") { fixture.log.all.first { $0.hasPrefix("request ") } }
            for part in ["client=127.0.0.1", "cause=refused", "reason=connect_method", "status=\(refused.status ?? "")", "bytes="] {
                #expect(line.contains(part), "\(part) in \(line)")
            }
            // A reset is no answer, but it is counted.
            #expect(try await client.get(3, "/", [("connection", "close")]).reset == 1)
            let after = keys.map { RecordedMetrics.shared.value($0) ?? 0 }
            #expect(zip(before, after).allSatisfy { $0 < $1 })
            let admin = try await fixture.admin()
            defer { admin.close() }
            let table = try await admin.request("GET /stats;csv HTTP/1.1\r\nHost: localhost\r\n\r\n").text.split(separator: "\n")
            let column = try #require(table.first?.split(separator: ",", omittingEmptySubsequences: false).firstIndex(of: "ereq"))
            let row = try #require(table.first { $0.contains(",FRONTEND,") }).split(separator: ",", omittingEmptySubsequences: false)
            #expect(row[column] == "1")
        }
    }

    @Test func cookiesStick() async throws {
        let pools = [("api", "api-1"), ("api", "api-2"), ("api", "api-3")]
        try await BalancerFixture.withHTTP2(pools) { fixture in
            let client = try await HTTP2TestClient.connect(fixture)
            let first = try await client.get(1)
            let cookie = try #require(first.value("set-cookie")?.prefix { $0 != ";" })
            for stream: Int32 in stride(from: 3, to: 15, by: 2) {
                // As a crumb among others; the server sees the others alone.
                let next = try await client.get(stream, "/", [("cookie", "a=1"), ("cookie", String(cookie)), ("cookie", "b=2")])
                #expect(next.text == first.text && next.value("set-cookie") == nil)
            }
            let requests = try #require(fixture.backends.first { $0.name == first.text }).requests
            #expect(try await requests.until { $0.count == 7 }.dropFirst().allSatisfy { $0.values("cookie") == ["a=1; b=2"] })
        }
    }
}
