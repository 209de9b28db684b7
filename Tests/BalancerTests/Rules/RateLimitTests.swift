// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// Token buckets, and what clients above them are told.
@Suite struct RateLimitTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func aBucketFillsAtItsRate() {
        var table = RateLimitTable(RateLimitConfiguration(key: .ip, rate: 10, burst: 3), capacity: 8)
        let start = 1000 * Self.second
        for _ in 0..<3 { #expect(table.admit(1, at: start) == .admitted) }
        #expect(table.admit(1, at: start) == .refused(retryAfter: 1))
        #expect(table.admit(2, at: start) == .admitted)
        // A tenth of a second is one request; a refused one costs nothing.
        #expect(table.admit(1, at: start + Self.second / 10) == .admitted)
        #expect(table.admit(1, at: start + Self.second / 10) == .refused(retryAfter: 1))
        // A long rest saves up the burst and no more.
        for _ in 0..<3 { #expect(table.admit(1, at: start + 60 * Self.second) == .admitted) }
        #expect(table.admit(1, at: start + 60 * Self.second) == .refused(retryAfter: 1))
        // Another loop's clock may be behind.
        #expect(table.admit(1, at: start) == .refused(retryAfter: 61))
    }

    @Test func slowRatesSayHowLong() {
        var table = RateLimitTable(RateLimitConfiguration(key: .ip, rate: 0.1, burst: 1), capacity: 8)
        #expect(table.admit(1, at: Self.second) == .admitted)
        #expect(table.admit(1, at: Self.second) == .refused(retryAfter: 10))
        #expect(table.admit(1, at: 5 * Self.second) == .refused(retryAfter: 6))
        #expect(table.admit(1, at: 11 * Self.second) == .admitted)
    }

    @Test func theLeastRecentlyUsedKeyIsDropped() {
        var table = RateLimitTable(RateLimitConfiguration(key: .ip, rate: 1, burst: 1), capacity: 3)
        for key in [1, 2, 3, 1] as [UInt64] { _ = table.admit(key, at: Self.second) }
        #expect(table.admit(4, at: Self.second) == .admitted)
        #expect(table.keyCount == 3)
        #expect(table.admit(1, at: Self.second) == .refused(retryAfter: 1))
        #expect(table.admit(3, at: Self.second) == .refused(retryAfter: 1))
        #expect(table.admit(2, at: Self.second) == .admitted)
        for key in 10..<10_000 { _ = table.admit(UInt64(key), at: Self.second) }
        #expect(table.keyCount == 3)
    }

    @Test func aLimiterForgetsRatherThanGrows() {
        let limiter = RateLimiter(RateLimitConfiguration(key: .ip, rate: 1, burst: 1))
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<200_000 { _ = limiter.admit(generator.next() << 1, at: Self.second) }
        #expect(limiter.keyCount <= 65_536)
    }

    @Test func tokensAndAddressesHaveBuckets() async throws {
        let configure: @Sendable (inout BalancerConfiguration) throws -> Void = { configuration in
            var limited = RouteConfiguration(path: "/limited", pool: "web")
            limited.rateLimit = RateLimitConfiguration(key: .token, rate: 0.01, burst: 2)
            configuration.routes = [limited, RouteConfiguration(path: "/", pool: "web")]
        }
        try await BalancerFixture.with(loops: 2, configure: configure) { fixture in
            func status(_ token: String?, _ query: String = "") async throws -> Int {
                // A connection each: the limit holds over all loops.
                let client = try await fixture.client()
                defer { client.close() }
                let field = token.map { "Authorization: \($0)\r\n" } ?? ""
                return try await client.request("GET /limited\(query) HTTP/1.1\r\nHost: a\r\n\(field)\r\n").status
            }
            for token in ["Bearer one", "bearer two", nil] {
                #expect(try await status(token) == 200)
                #expect(try await status(token) == 200)
                #expect(try await status(token) == 429)
            }
            // Wherever it stands, it is one token; without a scheme for tokens the address counts.
            #expect(try await status(nil, "?access_token=one") == 429)
            #expect(try await status(nil, "?access_token=three") == 200)
            #expect(try await status("Basic eDp5") == 429)
            let client = try await fixture.client()
            let refused = try await client.request("GET /limited HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(refused.value("retry-after").flatMap { Int($0) }.map { (1...100).contains($0) } == true)
            #expect(refused.text.contains("\"code\":\"rate_limited\"") && refused.value("connection") == nil)
            // The connection lives on, and other routes are free.
            for _ in 0..<5 { #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200) }
            #expect(RecordedMetrics.shared.value("balancer_rejected_total{reason=\"rate_limited\"}").map { $0 >= 5 } == true)
        }
    }

    @Test(arguments: [(0.0, 1), (-1.0, 1), (Double.nan, 1), (Double.infinity, 1), (1.0, 0)])
    func nonsenseIsRefused(_ rate: Double, _ burst: Int) {
        var configuration = BalancerConfiguration(
            listeners: [Endpoint(host: "127.0.0.1", port: 0)],
            pools: [PoolConfiguration(name: "web", servers: [])]
        )
        var route = RouteConfiguration(path: "/", pool: "web")
        route.rateLimit = RateLimitConfiguration(key: .ip, rate: rate, burst: burst)
        configuration.routes = [route]
        #expect(throws: BalancerError.self) { try configuration.validate() }
    }
}
