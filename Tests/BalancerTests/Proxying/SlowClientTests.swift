// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// Clients that send slowly, or send on when they have been answered.
@Suite struct SlowClientTests {
    @Test func aBodyHasItsPace() throws {
        var pace = try #require(BodyPace(bytesPerSecond: 100, grace: 1000, at: 5000))
        #expect(pace.deadline == 6000)
        pace.received(50)
        #expect(pace.deadline == 6000)
        pace.received(250)
        #expect(pace.deadline == 8000)
        pace.paused(at: 7000)
        pace.paused(at: 7500)
        pace.resumed(at: 9000)
        pace.resumed(at: 9500)
        #expect(pace.deadline == 10_000)
        #expect(BodyPace(bytesPerSecond: 0, grace: 1000, at: 0) == nil)
    }

    /// Each byte is in time, the body is not.
    @Test(arguments: ["Content-Length: 5000", "Transfer-Encoding: chunked"])
    func drippingBodiesEnd(_ framing: String) async throws {
        let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
            configuration.limits.bodyGrace = .milliseconds(300)
            configuration.limits.bodyRate = 1_000_000
        }
        try await BalancerFixture.with(configure: configure, script: { _, _ in .silence }) { fixture in
            let client = try await fixture.client()
            client.send("POST / HTTP/1.1\r\nHost: a\r\n\(framing)\r\n\r\n")
            client.send(framing.hasSuffix("d") ? "1\r\nx\r\n" : "x", every: .milliseconds(20))
            let answer = try await client.response(to: .post)
            #expect(answer.status == 408 && answer.value("connection") == "close" && answer.text.contains("\"code\":\"request_timeout\""))
            try await client.untilEnd()
        }
    }

    /// The refusal of a large body must arrive although the client is still sending and the server has hung up.
    @Test(arguments: [false, true])
    func earlyRefusalsArrive(_ closes: Bool) async throws {
        let refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, _ in closes ? .sendThenClose(refusal) : .send(refusal) }
        try await BalancerFixture.with(answersEarly: true, script: script) { fixture in
            for _ in 0..<10 {
                let client = try await fixture.client()
                client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
                client.send([UInt8](repeating: 0x61, count: 40_000))
                let answer = try await client.response(to: .post)
                #expect(answer.status == 413 && answer.text == "big" && answer.value("connection") == "close")
                // What it still sends is no request.
                client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
                try await client.untilEnd()
            }
            #expect(!fixture.backends[0].requests.all.contains { $0.target == "/smuggled" })
        }
    }

    /// An answer that needs no whole request: both connections go on when the request ends after all.
    @Test func earlyAnswersDontHurryTheClient() async throws {
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        }
        try await BalancerFixture.with(answersEarly: true, script: script) { fixture in
            let client = try await fixture.client()
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
            _ = try await client.take("the begun answer") { $0.suffix(4) == Array("hi\r\n".utf8)[...] ? (true, 0) : nil }
            client.send("def")
            let other = try await fixture.client()
            for _ in 0..<20 { _ = try await other.request("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n") }
            try await fixture.backends[0].push("0\r\n\r\n")
            let answer = try await client.response(to: .post)
            #expect(answer.text == "hi" && answer.value("connection") == nil)
            #expect(try await client.request("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        }
    }

    @Test func trailersPassBothWays() async throws {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n"
        try await BalancerFixture.with(script: { _, _ in .send(answer) }) { fixture in
            let client = try await fixture.client()
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Up: 1\r\n\r\n")
            let raw = try await client.take("the trailers") { bytes -> ([UInt8], Int)? in
                bytes.firstRange(of: Array("X-Sum: 2\r\n\r\n".utf8)).map { (Array(bytes[..<$0.upperBound]), $0.upperBound) }
            }
            #expect(String(decoding: raw, as: UTF8.self).contains("Trailer: X-Sum\r\n"))
            #expect(try await client.request("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        }
    }
}
