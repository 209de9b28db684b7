// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// Who gets which request: algorithms, tiers and slow start over real connections.
@Suite struct BalanceTests {
    private static let three = [("web", "web-1"), ("web", "web-2"), ("web", "web-3")]
    private static let two = [("web", "web-1"), ("web", "web-2")]

    private func with(
        _ pools: [(String, String)],
        loops: Int = 1,
        dead: Set<String> = [],
        configure: @escaping @Sendable (inout PoolConfiguration) -> Void,
        _ body: @Sendable (BalancerFixture) async throws -> Void
    ) async throws {
        let all: @Sendable (inout BalancerConfiguration) -> Void = { configuration in
            BalancerFixture.quick(&configuration)
            configuration.pools[0].sticky = nil
            configure(&configuration.pools[0])
        }
        try await BalancerFixture.with(pools, loops: loops, dead: dead, configure: all, script: BalancerFixture.byName, body)
    }

    @Test func weightsHoldOnEveryLoop() async throws {
        let configure: @Sendable (inout PoolConfiguration) -> Void = {
            for (index, weight) in [10, 5, 1].enumerated() { $0.servers[index].weight = weight }
        }
        try await with(Self.three, loops: 2, configure: configure) { fixture in
            // Each connection is one loop's: whichever it is, its share is exact to a turn.
            for _ in 0..<4 {
                let answers = try await fixture.answers(160)
                for (name, expected) in [("web-1", 100), ("web-2", 50), ("web-3", 10)] {
                    #expect(abs((answers[name] ?? 0) - expected) <= 1)
                }
            }
        }
    }

    @Test func liveTunnelsOfAllLoopsCountAndSurviveConfigurations() async throws {
        try await with(Self.two, loops: 2, configure: { $0.balance = .leastConnections }) { fixture in
            for _ in 0..<8 { _ = try await fixture.tunnel() }
            #expect(try await fixture.server("web-1").tunnels == 4)
            // A third one comes: it gets all until it has as many.
            let third = TestBackend("web-3", on: fixture.outer.loops[0]) { BalancerFixture.byName("web-3", $0) }
            try await third.start()
            var servers: [ServerConfiguration] = []
            for backend in fixture.backends { servers.append(ServerConfiguration(name: backend.name, address: try await backend.endpoint)) }
            servers.append(ServerConfiguration(name: "web-3", address: try await third.endpoint))
            try fixture.service.update(pool: "web", servers: servers)
            _ = try await eventually("web-3 to serve") { try await fixture.answers(2)["web-3"] }
            for _ in 0..<4 { _ = try await fixture.tunnel() }
            #expect(try await fixture.service.status()[0].servers.map(\.tunnels) == [4, 4, 4])
        }
    }

    @Test func oneKeyOneServer() async throws {
        try await with(Self.three, loops: 2, configure: { $0.balance = .hash(.query("environment"), boundedLoad: nil) }) { fixture in
            var owners: [String: String] = [:]
            for number in 0..<30 {
                let answers = try await fixture.answers(2, to: BalancerFixture.get("/v1/watch?environment=a%2F\(number)"))
                #expect(answers.count == 1)
                owners["\(number)"] = answers.keys.first
            }
            #expect(Set(owners.values).count == 3)
            // One goes: only its keys move. It comes back, and so do they.
            fixture.backends[0].become(.down)
            try await fixture.untilServer("web-1", is: "down")
            for (number, owner) in owners {
                let answer = try await fixture.answers(1, to: BalancerFixture.get("/?environment=a%2F\(number)")).keys.first
                #expect(owner == "web-1" ? answer != owner : answer == owner)
            }
            fixture.backends[0].become(.up)
            try await fixture.untilServer("web-1", is: "up")
            for (number, owner) in owners {
                #expect(try await fixture.answers(1, to: BalancerFixture.get("/?environment=a/\(number)")).keys.first == owner)
            }
        }
    }

    @Test func aValidPinWinsOverTheHash() async throws {
        let configure: @Sendable (inout PoolConfiguration) -> Void = {
            $0.balance = .hash(.path, boundedLoad: nil)
            $0.sticky = StickyConfiguration(pool: "web")
        }
        try await with(Self.two, configure: configure) { fixture in
            let client = try await fixture.client()
            let first = try await client.request(BalancerFixture.get("/a"))
            let token = try #require(first.cookie("KEYVANE_WEB"))
            for path in ["/a", "/b", "/c", "/d", "/e", "/f"] {
                #expect(try await client.request(BalancerFixture.get(path, cookie: "KEYVANE_WEB=\(token)")).text == first.text)
            }
        }
    }

    // MARK: Tiers

    @Test func backupsServeWhileNoPrimaryIsUp() async throws {
        try await with(Self.three, configure: { $0.servers[2].isBackup = true }) { fixture in
            #expect(try await fixture.answers(6) == ["web-1": 3, "web-2": 3])
            fixture.backends[0].become(.down)
            try await fixture.untilServer("web-1", is: "down")
            #expect(try await fixture.answers(4) == ["web-2": 4])
            // Drained or down: it takes no new clients, so the backup does.
            try await fixture.state(.drain, "web-2")
            _ = try await eventually("the backup") { try await fixture.answers(4) == ["web-3": 4] ? true : nil }
            try await fixture.state(.ready, "web-2")
            _ = try await eventually("the primary") { try await fixture.answers(4) == ["web-2": 4] ? true : nil }
        }
    }

    @Test func aBackupTakesWhatFailedAtThePrimaries() async throws {
        let configure: @Sendable (inout PoolConfiguration) -> Void = {
            $0.servers[1].isBackup = true
            $0.health.interval = .seconds(600)
            $0.passive.maxFails = 1000
            $0.health.fall = 1000
        }
        try await with(Self.two, dead: ["web-1"], configure: configure) { fixture in
            let answers = try await fixture.answers(3)
            #expect(answers == ["web-2": 3])
            #expect(try await fixture.server("web-1").standing == .up)
        }
    }

    @Test(arguments: [true, false]) func panicIsASwitch(_ panics: Bool) async throws {
        try await with(Self.two, configure: { $0.panic = panics }) { fixture in
            for backend in fixture.backends { backend.become(.down) }
            try await fixture.untilServer("web-1", is: "down")
            try await fixture.untilServer("web-2", is: "down")
            #expect(try await fixture.service.status()[0].isPanicking == panics)
            #expect(try await fixture.answers(4) == (panics ? ["web-1": 2, "web-2": 2] : ["503": 4]))
            // What an operator took out is not what checks say.
            try await fixture.state(.maint, "web-1")
            _ = try await eventually("web-1 to be out") {
                try await fixture.answers(4) == (panics ? ["web-2": 4] : ["503": 4]) ? true : nil
            }
            fixture.backends[1].become(.up)
            try await fixture.untilServer("web-2", is: "up")
            #expect(try await fixture.service.status()[0].isPanicking == false)
        }
    }

    /// Whoever is being drained gets nobody new, in a panic as at any other time; its own clients are served, as they would be if it were up.
    @Test func aPanicDoesntUndoADrain() async throws {
        let configure: @Sendable (inout BalancerConfiguration) -> Void = {
            BalancerFixture.quick(&$0)
            $0.pools[0].panic = true
            $0.limits.drain = .seconds(600)
        }
        try await BalancerFixture.with(Self.two, configure: configure, script: BalancerFixture.byName) { fixture in
            let cookie = try await fixture.pin(to: "web-1")
            for backend in fixture.backends { backend.become(.down) }
            try await fixture.untilServer("web-1", is: "down")
            try await fixture.untilServer("web-2", is: "down")
            // Before its end a drain is a wish that a server that is down has as well: no state of its own.
            try await fixture.state(.drain, "web-1")
            _ = try await eventually("web-1 to get nobody") { try await fixture.answers(4) == ["web-2": 4] ? true : nil }
            #expect(try await fixture.answers(6) == ["web-2": 6])
            #expect(try await fixture.answers(2, to: BalancerFixture.get(cookie: cookie)) == ["web-1": 2])
            #expect(try await fixture.service.status()[0].isPanicking)
            // With nobody else left there is nobody to panic with.
            try await fixture.state(.drain, "web-2")
            _ = try await eventually("nobody to serve") { try await fixture.answers(4) == ["503": 4] ? true : nil }
            #expect(try await fixture.service.status()[0].isPanicking == false)
            try await fixture.state(.ready, "web-1")
            _ = try await eventually("web-1 to be used again") { try await fixture.answers(4) == ["web-1": 4] ? true : nil }
        }
    }

    // MARK: Slow start

    @Test func whoComesBackStartsSlowlyAndWhoWasThereDoesNot() async throws {
        try await with(Self.two, configure: { $0.slowStart = .seconds(3600) }) { fixture in
            #expect(try await fixture.service.status()[0].servers.allSatisfy { $0.effectiveWeight == 1 })
            fixture.backends[0].become(.down)
            try await fixture.untilServer("web-1", is: "down")
            fixture.backends[0].become(.up)
            try await fixture.until("web-1", "up with next to no weight") {
                $0.standing == .up && $0.effectiveWeight < 0.1 && $0.effectiveWeight > 0
            }
            #expect(try await fixture.answers(20)["web-2", default: 0] >= 19)
            // The only usable one has its whole weight.
            fixture.backends[1].become(.down)
            try await fixture.untilServer("web-2", is: "down")
            try await fixture.until("web-1", "its whole weight") { $0.effectiveWeight == 1 }
            #expect(try await fixture.answers(4) == ["web-1": 4])
        }
    }

    @Test func weightAndLimitRise() async throws {
        let configure: @Sendable (inout PoolConfiguration) -> Void = {
            $0.slowStart = .seconds(30)
            for index in 0..<2 {
                $0.servers[index].weight = 100
                $0.servers[index].maxConnections = 100
            }
        }
        try await with(Self.two, configure: configure) { fixture in
            try await fixture.state(.drain, "web-1")
            try await fixture.state(.ready, "web-1")
            try await fixture.until("web-1", "some of it") {
                (5..<95).contains($0.effectiveWeight) && (5..<95).contains($0.effectiveMaxConnections)
            }
            try await fixture.until("web-1", "all of it") { $0.effectiveWeight == 100 && $0.effectiveMaxConnections == 100 }
        }
    }

    @Test func joinersStartSlowlyUnlessThePoolWasEmpty() async throws {
        try await with([("web", "web-1")], configure: { $0.slowStart = .seconds(3600) }) { fixture in
            let server = ServerConfiguration(name: "web-1", address: try await fixture.backends[0].endpoint)
            let others = (2...3).map { ServerConfiguration(name: "web-\($0)", address: Endpoint(host: "127.0.0.1", port: UInt16($0))) }
            try fixture.service.update(pool: "web", servers: [server, others[0]])
            #expect(try await fixture.service.status()[0].servers.map { $0.effectiveWeight < 0.5 } == [false, true])
            // All at once into an empty pool.
            try fixture.service.update(pool: "web", servers: [])
            try fixture.service.update(pool: "web", servers: [server] + others)
            #expect(try await fixture.service.status()[0].servers.allSatisfy { $0.effectiveWeight == 1 })
        }
    }
}
