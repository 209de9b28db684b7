// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import Synchronization
import TestSupport
import Testing
import Wire

/// What is tried again, and what is not.
@Suite struct RetryTests {
    private static let pools = [("api", "api-1"), ("api", "api-2")]
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    private static let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"

    @Test func refusedConnectsGoElsewhereWithAnyMethod() async throws {
        try await BalancerFixture.with(Self.pools, dead: ["api-1"], configure: { $0.pools[0].health.interval = .seconds(600) }) { fixture in
            let client = try await fixture.client()
            for _ in 0..<6 {
                #expect(try await client.request(Self.post, method: .post).text == "api-2")
                #expect(try await client.request(Self.get).text == "api-2")
            }
            #expect(fixture.backends[1].requests.all.filter { $0.method == "POST" }.allSatisfy { $0.body == Array("hello".utf8) })
        }
    }

    @Test func nobodyThere() async throws {
        try await BalancerFixture.with(Self.pools, dead: ["api-1", "api-2"]) { fixture in
            let client = try await fixture.client()
            let answer = try await client.request(Self.get)
            #expect(answer.status == 503 && answer.value("retry-after") == "1")
            #expect(answer.value("content-type") == "application/problem+json")
            #expect(answer.text.contains("\"status\":503"))
            // The connection is in order and stays.
            #expect(try await client.request("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").status == 200)
        }
    }

    /// The server hangs up on an idle connection in the moment a request takes it.
    @Test func staleConnectionsAreReplacedForIdempotentRequests() async throws {
        let calls = CallCount(calls: 0)
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            // The second request on the first connection dies unanswered.
            calls.next() == 2 ? .reset : .ok("\(request.connection)")
        }
        try await BalancerFixture.with(script: script) { fixture in
            let client = try await fixture.client()
            let (first, second) = (try await client.request(Self.get), try await client.request(Self.get))
            #expect(first.status == 200 && second.status == 200 && first.text != second.text)
            #expect(fixture.backends[0].requests.all.count == 3)
        }
    }

    /// Whoever sent an interim answer has begun to act on the request.
    @Test func nothingIsSentTwiceBehindAnInterimAnswer() async throws {
        try await BalancerFixture.with(Self.pools, script: { _, _ in .sendThenReset("HTTP/1.1 103 Early Hints\r\n\r\n") }) { fixture in
            let client = try await fixture.client()
            client.send(Self.get)
            #expect(try await client.response().status == 103)
            #expect(try await client.response().status == 502)
            #expect(fixture.backends.map(\.requests.all.count).reduce(0, +) == 1)
        }
    }

    @Test(arguments: ["POST", "PATCH", "PUT-If-Match"])
    func othersAreNotSentTwice(_ kind: String) async throws {
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in request.method == "GET" ? .ok() : .reset }
        try await BalancerFixture.with(script: script) { fixture in
            let client = try await fixture.client()
            _ = try await client.request(Self.get)
            let method = kind.prefix { $0 != "-" }
            let condition = kind.contains("-") ? "If-Match: \"1\"\r\n" : ""
            let answer = try await client.request("\(method) / HTTP/1.1\r\nHost: a\r\n\(condition)Content-Length: 5\r\n\r\nhello")
            #expect(answer.status == 502 && answer.text.contains("server_failed"))
            #expect(fixture.backends[0].requests.all.count { $0.method == method } == 1)
        }
    }

    @Test func anIdempotencyKeyAllowsIt() async throws {
        let count = CallCount(calls: 0)
        let script: @Sendable (String, BackendRequest) -> BackendAction = { _, request in
            request.method == "PUT" && count.next() == 1 ? .reset : .ok()
        }
        try await BalancerFixture.with(Self.pools, script: script) { fixture in
            let client = try await fixture.client()
            let put = "PUT / HTTP/1.1\r\nHost: a\r\nIf-Match: \"1\"\r\nIdempotency-Key: k\r\nContent-Length: 5\r\n\r\nhello"
            #expect(try await client.request(put).status == 200)
            let bodies = fixture.backends.flatMap { $0.requests.all.filter { $0.method == "PUT" }.map(\.body) }
            #expect(bodies == [Array("hello".utf8), Array("hello".utf8)])
        }
    }

    @Test func aServerThatAlwaysDiesIsNotAskedForEver() async throws {
        try await BalancerFixture.with(Self.pools, script: { _, _ in .close }) { fixture in
            let client = try await fixture.client()
            #expect(try await client.request(Self.get).status == 502)
            #expect(fixture.backends.reduce(0) { $0 + $1.requests.all.count } == 2)
        }
    }

    /// The first server says that it is draining, but is only busy at `/busy`.
    private static let leaving: @Sendable (String, BackendRequest) -> BackendAction = { name, request in
        let state = request.target == "/busy" ? "" : "Keyvane-State: draining\r\n"
        return name == "api-1" ? .send("HTTP/1.1 503 Service Unavailable\r\n\(state)Content-Length: 4\r\n\r\nfull") : .ok(name)
    }

    /// A gateway was told to end, and a client came before the balancer had heard of it: an event stream was refused, and its browser would not
    /// have come back.
    @Test func whatADrainingServerDeclinesGoesElsewhere() async throws {
        try await BalancerFixture.with(Self.pools, configure: Self.uncheckedForLong, script: Self.leaving) { fixture in
            let client = try await fixture.client()
            for _ in 0..<6 {
                let answer = try await client.request(Self.get)
                #expect(answer.status == 200 && answer.text == "api-2")
            }
            // Its word counts at once: the next ones would use up what may be sent twice.
            try await fixture.untilServer("api-1", is: "draining")
            let heard = fixture.backends[0].requests.all.count
            #expect(heard >= 1)
            for _ in 0..<6 { #expect(try await client.request(Self.get).status == 200) }
            #expect(fixture.backends[0].requests.all.count == heard)
        }
    }

    @Test func whatADrainingServerSaysOtherwiseIsItsOwnAnswer() async throws {
        for (request, method) in [(Self.post, HTTPMethod.post), ("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n", .get)] {
            try await BalancerFixture.with(Self.pools, configure: Self.uncheckedForLong, script: Self.leaving) { fixture in
                let client = try await fixture.client()
                let answers = [try await client.request(request, method: method), try await client.request(request, method: method)]
                #expect(answers.contains { $0.status == 503 && $0.text == "full" })
            }
        }
    }

    private static let uncheckedForLong: @Sendable (inout BalancerConfiguration) -> Void = { $0.pools[0].health.interval = .seconds(600) }

    @Test func slowServersTimeOut() async throws {
        try await BalancerFixture.with(configure: { $0.limits.response = .milliseconds(300) }, script: { _, _ in .silence }) { fixture in
            let client = try await fixture.client()
            let answer = try await client.request(Self.get)
            #expect(answer.status == 504 && answer.text.contains("response_timeout"))
            _ = try await fixture.backends[0].requests.first()
            #expect(fixture.backends[0].requests.all.count == 1)
        }
    }

    @Test func answersThatAreNotHTTP() async throws {
        let answers = [
            "HTTP/2 200\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n",
        ]
        for answer in answers {
            try await BalancerFixture.with(script: { _, _ in .send(answer) }) { fixture in
                let client = try await fixture.client()
                let refusal = try await client.request(Self.get)
                #expect(refusal.status == 502 && refusal.text.contains("bad_response"), "\(answer.debugDescription)")
            }
        }
    }
}

/// Counts calls from any thread.
final class CallCount: Sendable {
    private let calls: Mutex<Int>

    init(calls: Int) { self.calls = Mutex(calls) }

    func next() -> Int {
        calls.withLock { calls in
            calls += 1
            return calls
        }
    }
}
