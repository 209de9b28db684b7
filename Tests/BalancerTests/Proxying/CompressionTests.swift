// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// gzip on the routes that ask for it.
@Suite struct CompressionTests {
    private static let compress: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
        var route = RouteConfiguration(path: "/", pool: "web")
        route.compresses = true
        configuration.routes = [route]
    }
    private static let text = String(repeating: "{\"name\":\"value\"},", count: 200)

    private static func get(_ accept: String? = "gzip", path: String = "/", more: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: a\r\n" + (accept.map { "Accept-Encoding: \($0)\r\n" } ?? "") + more + "\r\n"
    }

    private func responses(_ answer: BackendAction, to requests: [String], method: HTTPMethod = .get) async throws -> [TestResponse] {
        let collected = Events<TestResponse>()
        try await BalancerFixture.with(configure: Self.compress, script: { _, _ in answer }) { fixture in
            let client = try await fixture.client()
            for request in requests { collected.emit(try await client.request(request, method: method)) }
        }
        return collected.all
    }

    @Test func aJSONAnswerByLength() async throws {
        let fields = "Content-Type: application/json; charset=utf-8\r\nETag: \"5\"\r\nAccept-Ranges: bytes\r\nX-Kept: 1\r\n"
        let answers = try await responses(.ok(Self.text, fields: fields), to: [Self.get(), Self.get(), Self.get("br"), Self.get(nil)])
        for answer in answers[..<2] {
            #expect(answer.values("content-encoding") == ["gzip"] && answer.values("vary") == ["Accept-Encoding"])
            #expect(answer.values("etag") == ["W/\"5\""] && answer.values("content-length").isEmpty)
            #expect(answer.values("transfer-encoding") == ["chunked"] && answer.values("accept-ranges").isEmpty)
            #expect(answer.values("x-kept") == ["1"])
            let content = try #require(Gunzip.read(answer.body))
            #expect(content.isWhole && content.bytes == Array(Self.text.utf8) && answer.body.count < 200)
        }
        for answer in answers[2...] {
            #expect(answer.text == Self.text && answer.values("content-encoding").isEmpty && answer.values("vary") == ["Accept-Encoding"])
            #expect(answer.values("etag") == ["\"5\""] && answer.values("accept-ranges") == ["bytes"])
        }
    }

    @Test(arguments: [
        ("gzip", true), ("GZIP", true), ("x-gzip", true), ("deflate, gzip;q=1.0, *;q=0.5", true), ("*", true), ("gzip;q=0.001", true),
        ("gzip;q=0", false), ("gzip; q=0.000", false), ("*;q=0", false), ("*, gzip;q=0", false), ("identity", false), ("br", false),
        ("identity;q=1, gzip;q=0.5", false), ("identity;q=0.5, gzip", true), ("identity;q=0, *;q=1", true), ("gzip;q=nonsense", false),
        ("", false), ("gzip;q=1.0000", false), ("xgzip", false), ("gzip ; q=0.5", true),
    ])
    func whatClientsAccept(_ accept: String, _ compressed: Bool) async throws {
        let answers = try await responses(.ok(Self.text, fields: "Content-Type: text/plain\r\n"), to: [Self.get(accept)])
        #expect(answers[0].values("content-encoding") == (compressed ? ["gzip"] : []))
        #expect(answers[0].values("vary") == ["Accept-Encoding"])
    }

    @Test(arguments: [
        "Content-Type: image/png\r\n", "", "Content-Type: text/event-stream\r\n", "Content-Type: application/octet-stream\r\n",
        "Content-Type: text/html\r\nContent-Encoding: br\r\n", "Content-Type: text/html\r\nCache-Control: private, no-transform\r\n",
        "Content-Type: text/html\r\nContent-Encoding: gzip\r\n", "Content-Type: text/html\r\nDigest: sha-256=x\r\n",
    ])
    func whatIsNeverCompressed(_ fields: String) async throws {
        let answers = try await responses(.ok(Self.text, fields: fields + "ETag: \"1\"\r\n"), to: [Self.get()])
        #expect(answers[0].text == Self.text && answers[0].values("vary").isEmpty && answers[0].values("etag") == ["\"1\""])
        #expect(answers[0].values("transfer-encoding").isEmpty)
    }

    @Test(arguments: [
        "application/javascript", "application/vnd.api+json", "image/svg+xml", "application/manifest+json", "application/x-javascript",
        "TEXT/CSS;charset=x", "application/xml",
    ])
    func typesThatAre(_ type: String) async throws {
        let answers = try await responses(
            .ok(Self.text, fields: "Content-Type: \(type)\r\nVary: origin, ACCEPT-encoding\r\n"),
            to: [Self.get()]
        )
        #expect(answers[0].values("content-encoding") == ["gzip"] && answers[0].values("vary") == ["origin, ACCEPT-encoding"])
    }

    @Test func statusesAndSizes() async throws {
        let type = "Content-Type: text/plain\r\n"
        let small = try await responses(.ok("small", fields: type), to: [Self.get()])
        #expect(small[0].text == "small" && small[0].values("vary").isEmpty)
        let partial = "HTTP/1.1 206 Partial Content\r\n\(type)Content-Range: bytes 0-3399/9999\r\nContent-Length: 3400\r\n\r\n\(Self.text)"
        #expect(try await responses(.send(partial), to: [Self.get()])[0].text == Self.text)
        let error = "HTTP/1.1 404 Not Found\r\n\(type)Content-Length: 3400\r\n\r\n\(Self.text)"
        #expect(try await responses(.send(error), to: [Self.get()])[0].values("content-encoding") == ["gzip"])
        let unchanged = "HTTP/1.1 304 Not Modified\r\n\(type)ETag: \"1\"\r\n\r\n"
        let answer = try await responses(.send(unchanged), to: [Self.get(), Self.get()])
        #expect(answer.map(\.status) == [304, 304] && answer[0].values("content-encoding").isEmpty)
        let transform = try await responses(.ok(Self.text, fields: type), to: [Self.get(more: "Cache-Control: no-transform\r\n")])
        #expect(transform[0].text == Self.text && transform[0].values("vary") == ["Accept-Encoding"])
    }

    @Test func headTellsOfTheServersContent() async throws {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3400\r\n\r\n"
        let request = Self.get().replacing("GET", with: "HEAD")
        let answer = try await responses(.send(head), to: [request, request], method: .head)
        for answer in answer {
            #expect(answer.values("content-length") == ["3400"] && answer.values("vary") == ["Accept-Encoding"])
            #expect(answer.values("content-encoding").isEmpty)
        }
    }

    @Test func oldClientsGetTheLength() async throws {
        let request = Self.get().replacing("HTTP/1.1", with: "HTTP/1.0")
        let answer = try await responses(.ok(Self.text, fields: "Content-Type: text/plain\r\n"), to: [request])
        #expect(answer[0].text == Self.text && answer[0].values("content-length") == ["3400"])
    }

    /// What a server sends now must not wait in the compressor for what it sends later.
    @Test func chunksAreNotDelayed() async throws {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        try await BalancerFixture.with(configure: Self.compress, script: { _, _ in .send(head + "5\r\nfirst\r\n") }) { fixture in
            let client = try await fixture.client()
            client.send(Self.get())
            @Sendable func content(_ raw: [UInt8]) -> Gunzip.Result? {
                guard let start = raw.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound else { return nil }
                var parser = BodyParser(.chunked)
                var content: [UInt8] = []
                let body = Array(raw[start...])
                _ = try? parser.parse(body.span) { content += body[$0] }
                return Gunzip.read(content)
            }
            _ = try await client.take("the first piece") { content($0)?.bytes == Array("first".utf8) ? (true, 0) : nil }
            try await fixture.backends[0].push("6\r\nsecond\r\n")
            _ = try await client.take("the second piece") { content($0)?.bytes == Array("firstsecond".utf8) ? (true, 0) : nil }
            try await fixture.backends[0].push("0\r\n\r\n")
            let answer = try await client.response()
            let whole = try #require(Gunzip.read(answer.body))
            #expect(whole.isWhole && whole.bytes == Array("firstsecond".utf8))
            #expect(try await client.request("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        }
    }

    /// A body that ends with the server's connection gets an end of its own, and the client's connection lives on.
    @Test func bodiesUntilTheEnd() async throws {
        let answer = BackendAction.sendThenClose("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n\(Self.text)")
        let answers = try await responses(answer, to: [Self.get(), Self.get()])
        for answer in answers {
            let whole = try #require(Gunzip.read(answer.body))
            #expect(whole.isWhole && whole.bytes == Array(Self.text.utf8) && answer.value("connection") == nil)
        }
    }

    @Test func aBodyThatBreaksOffStaysBroken() async throws {
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 90000\r\n\r\n\(Self.text)"
        try await BalancerFixture.with(configure: Self.compress, script: { _, _ in .sendThenClose(answer) }) { fixture in
            let client = try await fixture.client()
            client.send(Self.get())
            let bytes = try await client.untilEnd()
            #expect(TestResponse.read(bytes, method: .get) == nil && bytes.count > 20)
        }
    }

    /// A slow reader stops the server through the compressor too.
    @Test func backpressure() async throws {
        let size = 256 << 20
        let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
            try Self.compress(&configuration)
            configuration.limits.response = .seconds(30)
        }
        try await BalancerFixture.with(configure: configure, script: { _, _ in .noise(size) }) { fixture in
            let client = try await fixture.client()
            try await client.pauseReading()
            client.send(Self.get())
            _ = try await fixture.backends[0].requests.first()
            let other = try await fixture.client()
            for _ in 0..<200 { _ = try await other.request("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n") }
            #expect(try await fixture.backends[0].unstreamed > size / 2)
            client.close()
        }
    }
}
