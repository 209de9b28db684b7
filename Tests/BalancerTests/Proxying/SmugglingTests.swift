// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing
import Wire

/// Thinking in pairs: what the balancer lets through is read by every server as the balancer has read it. The scripted server is strict,
/// and any fault it finds fails the test in the fixture.
@Suite struct SmugglingTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let request: String
        /// The requests that arrive, each with its body.
        let seen: [String]
        var testDescription: String { seen.joined(separator: " ") }

        init(_ request: String, _ seen: String...) {
            self.request = request
            self.seen = seen
        }
    }

    private static let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

    static let cases: [Case] = [
        Case("\r\nGET /crlf HTTP/1.1\r\nHost: a\r\n\r\n", "/crlf"),
        Case("GET /body HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy", "/body xy"),
        Case("DELETE /zero HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "/zero"),
        Case("POST /leading HTTP/1.1\r\nHost: a\r\nContent-Length: 0002\r\n\r\nxy", "/leading xy"),
        Case("POST /nominated HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 2\r\n\r\nxy", "/nominated xy"),
        Case(
            "POST /te HTTP/1.1\r\nHost: a\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            "/te x"
        ),
        Case("POST /host HTTP/1.1\r\nHost: a\r\nConnection: Host, close\r\nContent-Length: 0\r\n\r\n", "/host"),
        Case(
            "POST /hex HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00A;x=\"y\"\r\n0123456789\r\n000\r\n\r\n",
            "/hex 0123456789"
        ),
        Case("POST /hidden HTTP/1.1\r\nHost: a\r\nContent-Length: \(next.utf8.count)\r\n\r\n\(next)", "/hidden \(next)"),
        Case(
            "POST /hidden-chunk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "\(String(next.utf8.count, radix: 16))\r\n\(next)\r\n0\r\n\r\n",
            "/hidden-chunk \(next)"
        ),
        Case("POST /underscore HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\nContent-Length: 2\r\n\r\nxy", "/underscore xy"),
        Case("POST /unknown HTTP/1.1\r\nHost: a\r\nX-Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nxy", "/unknown xy"),
        Case("GET //double/../%2e%2e/%00?x=%0d%0aHost:%20b HTTP/1.1\r\nHost: a\r\n\r\n", "//double/../%2e%2e/%00?x=%0d%0aHost:%20b"),
        Case("GET /obs HTTP/1.1\r\nHost: a\r\nX:\t\u{E9}\t \r\nEmpty:\r\n\r\n", "/obs"),
        Case("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*"), Case("get /lower HTTP/1.1\r\nHost: a\r\n\r\n", "/lower"),
        Case("GET /te-name HTTP/1.1\r\nHost: a\r\nTE: trailers, chunked\r\nTrailer: Content-Length\r\n\r\n", "/te-name"),
        Case("GET /old HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "/old"),
        Case("GET /cookie HTTP/1.1\r\nHost: a\r\nCookie: KEYVANE_WEB=x\r\nCookie: ;;; KEYVANE_WEB ;=\r\n\r\n", "/cookie"),
    ]

    @Test(arguments: cases)
    func forwardedAsRead(_ given: Case) async throws {
        try await BalancerFixture.with(script: { _, _ in .ok() }) { fixture in
            let client = try await fixture.client()
            let closes = given.request.contains("close")
            client.send(given.request + (closes ? "" : Self.next))
            _ = try await client.response()
            if !closes { _ = try await client.response() }
            let seen = fixture.backends[0].requests.all.map { request in
                request.body.isEmpty ? request.target : "\(request.target) \(String(decoding: request.body, as: UTF8.self))"
            }
            #expect(seen == given.seen + (closes ? [] : ["/next"]))
            for request in fixture.backends[0].requests.all {
                #expect(request.values("host").count == 1)
                #expect(request.values("content-length").count + request.values("transfer-encoding").count <= 1)
                // Servers that read `_` as `-` would find a second one.
                #expect(request.values("content_length").isEmpty && request.values("transfer_encoding").isEmpty)
            }
        }
    }

    /// Random damage: whatever is let through must be whole, and the balancer must live on.
    @Test func damagedRequests() async throws {
        let seeds = Self.cases.map { Array($0.request.utf8) } + RefusalTests.cases.map { Array($0.request.utf8.prefix(4000)) }
        try await BalancerFixture.with(loops: 2, configure: { $0.limits.clientIdle = .seconds(4) }, script: { _, _ in .ok() }) { fixture in
            var generator = SeededGenerator(seed: 20_261_121)
            for _ in 0..<400 {
                var bytes = seeds[Int.random(in: 0..<seeds.count, using: &generator)]
                for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
                    let index = Int.random(in: 0..<bytes.count, using: &generator)
                    switch Int.random(in: 0..<4, using: &generator) {
                    case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                    case 1: bytes.remove(at: index)
                    case 2: bytes.insert([0x0D, 0x0A, 0x20, 0x3A, 0x2C, 0x30, 0x00][Int.random(in: 0..<7, using: &generator)], at: index)
                    default: bytes.insert(contentsOf: bytes[index..<min(index + 20, bytes.count)], at: index)
                    }
                }
                let client = try await fixture.client(sending: bytes)
                client.finishSending()
                try await client.untilEnd()
            }
            #expect(try await fixture.client(sending: Self.next).response().status == 200)
        }
    }
}

/// The same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
    }
}
