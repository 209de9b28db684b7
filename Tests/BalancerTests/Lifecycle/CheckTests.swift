// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Glibc
import Reactor
import TestSupport
import Testing

/// What checks find out, by whatever way a server fails.
@Suite struct CheckTests {
    private static let pools = [("web", "web-1"), ("web", "web-2")]

    @Test func aServerThatHangsIsDown() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            BalancerFixture.quick(&$0)
            $0.pools[0].health.timeout = .milliseconds(500)
        }
        try await BalancerFixture.with(Self.pools, configure: configure, script: BalancerFixture.byName) { fixture in
            fixture.backends[0].become(.hanging)
            try await fixture.until("web-1", "down") { $0.standing == .down && $0.check?.outcome == "no answer in time" }
            #expect(try await fixture.server("web-1").checksFailed >= 3)
            fixture.backends[0].become(.up)
            try await fixture.until("web-1", "up") { $0.standing == .up }
        }
    }

    @Test func aServerThatResetsIsDown() async throws {
        try await BalancerFixture.with(Self.pools, configure: BalancerFixture.quick, script: BalancerFixture.byName) { fixture in
            fixture.backends[0].become(.resetting)
            try await fixture.until("web-1", "down") { $0.standing == .down }
        }
    }

    @Test func aGatewayIsTriedAsAGateway() async throws {
        let path = "/tmp/keyvane-check-token-\(getpid())"
        #expect(FileList.write("  \n", to: path + ".bad") && FileList.write("secret-token\nsecond line\n", to: path))
        defer { for name in [path, path + ".bad"] { unlink(name) } }
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            BalancerFixture.quick(&$0)
            $0.pools[0].health.webSocketPath = "/v1/watch?check=1"
            $0.pools[0].health.webSocketTokenFile = path
        }
        let script: @Sendable (String, BackendRequest) -> BackendAction = { name, _ in
            // The first one speaks WebSocket, the second one only says so, the third refuses.
            name == "web-1"
                ? .gateway : name == "web-2" ? .tunnel(greeting: "") : .send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        }
        try await BalancerFixture.with(Self.pools + [("web", "web-3")], configure: configure, script: script) { fixture in
            try await fixture.until("web-1", "checked") { $0.check?.passed == true && $0.standing == .up }
            try await fixture.until("web-2", "down") { $0.standing == .down && $0.check?.outcome == "what it sent was no WebSocket frame" }
            try await fixture.until("web-3", "down") {
                $0.standing == .down && $0.check?.outcome == "the WebSocket upgrade was answered 401"
            }
            let upgrade = try #require(fixture.backends[0].requests.all.first)
            #expect(upgrade.target == "/v1/watch?check=1" && upgrade.value("authorization") == "Bearer secret-token")
            #expect(!fixture.log.all.contains { $0.contains("secret-token") })
        }
        let unreadable: @Sendable (inout BalancerConfiguration) -> Void = {
            configure(&$0)
            $0.pools[0].health.webSocketTokenFile = path + ".bad"
        }
        try await BalancerFixture.with(configure: unreadable, script: script) { fixture in
            try await fixture.until("web-1", "down") { $0.standing == .down && $0.check?.outcome.contains("token") == true }
        }
    }

    @Test func trafficEjectsAndNeverEmptiesAPool() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            $0.pools[0].health.interval = .seconds(600)
            // Checks alone would never take it out.
            $0.pools[0].health.fall = 1000
            $0.pools[0].passive.maxFails = 2
            $0.pools[0].passive.failTimeout = .seconds(600)
            $0.pools[0].sticky = nil
        }
        try await BalancerFixture.with(Self.pools, configure: configure, script: BalancerFixture.byName) { fixture in
            for backend in fixture.backends { _ = try await backend.checks.first() }
            try await fixture.backends[0].kill()
            _ = try await eventually("an ejection") {
                #expect(try await fixture.answers(4) == ["web-2": 4])
                return try await fixture.server("web-1").standing == .ejected ? true : nil
            }
            // Half of the pool is out: the other half stays, whatever happens to it.
            try await fixture.backends[1].kill()
            for _ in 0..<5 { #expect(try await fixture.answers(1) == ["503": 1]) }
            #expect(try await fixture.server("web-2").standing == .up)
            // The first good check brings it back at once.
            try await fixture.backends[0].start()
            try await fixture.backends[1].start()
            _ = try await eventually("web-2 to answer") { try await fixture.answers(1)["web-2"] }
            try await fixture.state(.maint, "web-1")
            try await fixture.state(.ready, "web-1")
            try await fixture.until("web-1", "up") { $0.standing == .up && $0.check?.passed == true }
        }
    }

    @Test func anEjectionEndsByItself() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            $0.pools[0].health.interval = .seconds(600)
            $0.pools[0].health.fall = 1000
            $0.pools[0].passive.maxFails = 1
            $0.pools[0].passive.failTimeout = .milliseconds(500)
            $0.pools[0].sticky = nil
        }
        try await BalancerFixture.with(Self.pools, configure: configure, script: BalancerFixture.byName) { fixture in
            for backend in fixture.backends { _ = try await backend.checks.first() }
            try await fixture.backends[0].kill()
            _ = try await fixture.answers(4)
            // Nobody has to see it while it lasts: what ended it stays as the reason, and nothing but an ejection ends so.
            try await fixture.until("web-1", "up") { $0.standing == .up && $0.reason == "fail_timeout passed" }
            #expect(fixture.log.all.contains { $0.contains("server changed its state") && $0.contains("state=ejected") })
        }
    }
}
