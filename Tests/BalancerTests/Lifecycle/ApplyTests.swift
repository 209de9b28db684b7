// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import Synchronization
import TestSupport
import Testing

/// Another configuration while clients are served.
@Suite struct ApplyTests {
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    private static let upgrade =
        "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

    /// Of the fixture: one pool with all backends.
    private static func configuration(_ fixture: BalancerFixture) async throws -> BalancerConfiguration {
        var servers: [ServerConfiguration] = []
        for backend in fixture.backends { servers.append(ServerConfiguration(name: backend.name, address: try await backend.endpoint)) }
        var configuration = BalancerConfiguration(
            listeners: [Endpoint(host: "127.0.0.1", port: 0)],
            pools: [PoolConfiguration(name: "web", servers: servers)]
        )
        configuration.admin = AdminConfiguration(bind: Endpoint(host: "127.0.0.1", port: 0))
        BalancerFixture.patient(&configuration)
        return configuration
    }

    @Test func serversRoutesAndLimitsChangeWithoutARestart() async throws {
        try await BalancerFixture.with([("web", "web-1"), ("web", "web-2")], loops: 2) { fixture in
            var configuration = try await Self.configuration(fixture)
            configuration.pools[0].sticky = nil
            configuration.pools[0].servers.removeLast()
            #expect(try await fixture.service.apply(configuration).keys == ["pools.web.servers", "pools.web"])
            #expect(try await fixture.service.apply(configuration).isEmpty)
            let client = try await fixture.client()
            for _ in 0..<4 { #expect(try await client.request(Self.get).text == "web-1") }

            // A second pool with a route of its own, on the connection that is there.
            let other = try await fixture.backends[1].endpoint
            configuration.pools.insert(PoolConfiguration(name: "other", servers: [.init(name: "web-2", address: other)]), at: 0)
            configuration.routes = [RouteConfiguration(path: "/other", pool: "other"), RouteConfiguration(path: "/", pool: "web")]
            #expect(try await fixture.service.apply(configuration).keys == ["pools.other", "routes"])
            #expect(try await client.request(Self.get).text == "web-1")
            #expect(try await client.request("GET /other HTTP/1.1\r\nHost: a\r\n\r\n").text == "web-2")

            configuration.pools.removeFirst()
            configuration.routes = []
            configuration.limits.headers = 2
            #expect(try await fixture.service.apply(configuration).keys == ["pools.other", "routes", "limits"])
            #expect(try await client.request("GET /other HTTP/1.1\r\nHost: a\r\n\r\n").text == "web-1")
            #expect(try await client.request("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n\r\n").status == 431)
        }
    }

    @Test func listenersComeAndGo() async throws {
        try await BalancerFixture.with(loops: 2) { fixture in
            var configuration = try await Self.configuration(fixture)
            let (second, third) = (try LoopbackHost.freeEndpoint(), try LoopbackHost.freeEndpoint())
            let client = try await fixture.client()
            #expect(try await client.request(Self.get).status == 200)
            configuration.listeners += [ListenerConfiguration(bind: second), ListenerConfiguration(bind: third)]
            #expect(try await fixture.service.apply(configuration).keys == ["listeners"])
            var clients: [TestClient] = []
            for endpoint in [second, third] {
                let address = try #require(endpoint.numeric)
                let client = try await TestClient.connect(to: address, on: fixture.outer.loops[0])
                #expect(try await client.request(Self.get).status == 200)
                clients.append(client)
            }
            // The second goes; whoever came through it stays.
            configuration.listeners.remove(at: 1)
            try await fixture.service.apply(configuration)
            #expect(try await clients[0].request(Self.get).status == 200)
            #expect(try await clients[1].request(Self.get).status == 200)
            #expect(try await client.request(Self.get).status == 200)
            _ = try await eventually("the port to be free") { try? ListenSocket.open(second) }
        }
    }

    /// Other traits of a listener that stays: its socket stays open all the while.
    @Test func listenersChangeWithoutAClosedDoor() async throws {
        try await BalancerFixture.with(loops: 2) { fixture in
            let load = Load()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await load.connect(fixture) } }
                var configuration = try await Self.configuration(fixture)
                for round in 0..<20 {
                    configuration.listeners[0].redirectHTTPS = round % 2 == 0 ? 301 : nil
                    let seen = load.answers.load(ordering: .relaxed)
                    #expect(try await fixture.service.apply(configuration).keys == ["listeners"])
                    _ = try await eventually("more clients") { load.answers.load(ordering: .relaxed) > seen + 20 ? true : nil }
                }
                let client = try await fixture.client()
                #expect(try await client.request(Self.get).status == 200)
                configuration.listeners[0].redirectHTTPS = 308
                try await fixture.service.apply(configuration)
                // Who has come before the change is served as then.
                #expect(try await client.request(Self.get).status == 200)
                #expect(try await fixture.client().request(Self.get).status == 308)
                load.isOver.store(true, ordering: .relaxed)
                try await group.waitForAll()
            }
        }
    }

    @Test func whatCantBeBoundChangesNothing() async throws {
        try await BalancerFixture.with([("web", "web-1"), ("web", "web-2")]) { fixture in
            let taken = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))
            let free = try LoopbackHost.freeEndpoint()
            var configuration = try await Self.configuration(fixture)
            configuration.listeners += [ListenerConfiguration(bind: free), ListenerConfiguration(bind: Endpoint(taken[0].address))]
            configuration.pools[0].servers.removeLast()
            let refused = configuration
            let error = await #expect(throws: BalancerError.self) { try await fixture.service.apply(refused) }
            #expect(error?.code == .listenFailed && error?.message.contains("\(taken[0].address)") == true)
            #expect(try await fixture.serversDocument().contains("web-2"))
            _ = try ListenSocket.open(free)
            configuration.listeners = []
            configuration.pools[0].servers[0].weight = 1000
            let faulty = configuration
            let faults = await #expect(throws: BalancerError.self) { try await fixture.service.apply(faulty) }
            #expect(faults?.faults.map(\.key) == ["listeners", "pools.web.servers[0].weight"])
            #expect(try await fixture.serversDocument().contains("web-2"))
        }
    }

    @Test func stickyKeysAreRotated() async throws {
        try await BalancerFixture.with([("web", "web-1"), ("web", "web-2")]) { fixture in
            var configuration = try await Self.configuration(fixture)
            let (old, new) = (String(repeating: "A", count: 42) + "E=", String(repeating: "B", count: 42) + "E=")
            configuration.stickyKeys = try StickyKeyRing(parsing: old)
            try await fixture.service.apply(configuration)
            let client = try await fixture.client()
            let first = try await client.request(Self.get)
            let cookie = try #require(first.cookie("KEYVANE_WEB"))
            configuration.stickyKeys = try StickyKeyRing(parsing: "\(new),\(old)")
            #expect(try await fixture.service.apply(configuration).keys == ["sticky_keys_file"])
            let pinned = "GET / HTTP/1.1\r\nHost: a\r\nCookie: KEYVANE_WEB=\(cookie)\r\n\r\n"
            for _ in 0..<4 {
                let answer = try await client.request(pinned)
                #expect(answer.text == first.text && answer.cookie("KEYVANE_WEB") == nil)
            }
            configuration.stickyKeys = try StickyKeyRing(parsing: new)
            try await fixture.service.apply(configuration)
            #expect(try await client.request(pinned).cookie("KEYVANE_WEB") != nil)
        }
    }

    /// Cookies of pools that are gone or not sticky any more are nobody's business still; a server's own of the same name is its own.
    @Test func formerStickyCookiesStayOffTheServers() async throws {
        try await BalancerFixture.with([("web", "web-1")]) { fixture in
            var configuration = try await Self.configuration(fixture)
            let client = try await fixture.client()
            var tokens: [String] = []
            for name in ["KEYVANE_WEB", "SECOND", "THIRD"] {
                configuration.pools[0].sticky = StickyConfiguration(mode: .cookie, name: name)
                try await fixture.service.apply(configuration)
                let token = try #require(try await client.request(Self.get).cookie(name))
                tokens.append("\(name)=\(token)")
            }
            configuration.pools[0].sticky = nil
            try await fixture.service.apply(configuration)
            func seen(_ cookies: String) async throws -> String? {
                _ = try await client.request(BalancerFixture.get(cookie: cookies))
                return fixture.backends[0].requests.all.last?.value("cookie")
            }
            #expect(try await seen(tokens.joined(separator: "; ")) == nil)
            #expect(try await seen("a=1; \(tokens[0]); b=2;\(tokens[2]); c=3") == "a=1; b=2; c=3")
            let own = "SECOND=a server's own; KEYVANE_WEB=AQ; THIRD=\(String(repeating: "A", count: 46))"
            #expect(try await seen("\(own); \(tokens[1])") == own)
            // In use again, the name is ours whatever the value.
            configuration.pools[0].sticky = StickyConfiguration(mode: .cookie, name: "SECOND")
            try await fixture.service.apply(configuration)
            #expect(try await seen("SECOND=x; a=1") == "a=1")
        }
    }

    @Test func operatorsComeAndGoAtOnce() async throws {
        try await ConfigurationFolder.with { folder in
            try folder.write("secret\n", to: "password")
            try await BalancerFixture.with { fixture in
                var configuration = try await Self.configuration(fixture)
                func status(_ fields: String = "") async throws -> Int {
                    let client = try await fixture.admin()
                    defer { client.close() }
                    return try await client.request("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n").status
                }
                #expect(try await status() == 200)
                configuration.admin?.users = [.init(name: "ops", passwordFile: "\(folder.path)/password", role: .viewer)]
                #expect(try await fixture.service.apply(configuration).keys == ["admin"])
                #expect(try await status() == 401)
                #expect(try await status("Authorization: Basic b3BzOnNlY3JldA==\r\n") == 200)
                // Users of another address don't open this one.
                configuration.admin = nil
                try await fixture.service.apply(configuration)
                #expect(try await status() == 401)
            }
        }
    }

    @Test func aReloadIsCountedAndLogged() async throws {
        try await BalancerFixture.with { fixture in
            let configuration = try await Self.configuration(fixture)
            func count(_ result: String) -> Double {
                RecordedMetrics.shared.value("balancer_config_reloads_total{result=\"\(result)\"}") ?? 0
            }
            let before = count("refused")
            @Sendable func same() throws(BalancerError) -> BalancerConfiguration { configuration }
            #expect(await fixture.service.reload(same) == .unchanged)
            @Sendable func faulty() throws(BalancerError) -> BalancerConfiguration {
                try ConfigurationFile.parse("listeners: [':1']\npools: { web: { servers: ['h:1'], panic: 3 } }\nlimit: 1", path: "b.yaml")
            }
            let result = await fixture.service.reload(faulty)
            #expect(result == .refused && count("refused") == before + 1)
            let lines = fixture.log.all.filter { $0.hasPrefix("configuration refused") }
            #expect(
                lines.contains { $0.contains("b.yaml:2: pools.web.panic") } && lines.contains { $0.contains("b.yaml:3: limit: unknown") }
            )
        }
    }

    /// Everything that can change changes ten times a second, while 8 clients ask and 8 talk through tunnels.
    @Test func nothingFailsWhileTheConfigurationChanges() async throws {
        try await BalancerFixture.with(
            [("web", "web-1"), ("web", "web-2"), ("web", "web-3")],
            loops: 2,
            script: { name, request in request.target == "/socket" ? .tunnel() : .ok(name) }
        ) { fixture in
            let plain = try await Self.configuration(fixture)
            let spare = try LoopbackHost.freeEndpoint()
            let load = Load()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask { try await load.ask(fixture) }
                    group.addTask { try await load.talk(fixture) }
                }
                for round in 0..<30 {
                    var changed = plain
                    if round % 2 == 1 { changed.listeners.append(ListenerConfiguration(bind: spare)) }
                    if round % 3 == 1 { changed.pools[0].servers.removeLast() }
                    if round % 3 == 2 { changed.pools[0].servers[0].weight = 50 }
                    changed.limits.upgradesPerSecond = 1000 + round
                    changed.pools[0].balance = round % 4 == 0 ? .leastConnections : .roundRobin
                    if round % 5 == 0 { changed.stickyKeys = .random() }
                    if round % 7 == 3 {
                        changed.pools.append(PoolConfiguration(name: "more", servers: []))
                        changed.routes = [RouteConfiguration(path: "/more", pool: "more"), RouteConfiguration(path: "/", pool: "web")]
                    }
                    try await fixture.service.apply(changed)
                    try await fixture.waitAtLeast(milliseconds: 100)
                }
                load.isOver.store(true, ordering: .relaxed)
                try await group.waitForAll()
            }
            #expect(load.answers.load(ordering: .relaxed) > 100 && load.echoes.load(ordering: .relaxed) > 100)
        }
    }

    /// Clients that go on until they are told to stop.
    private final class Load: Sendable {
        let isOver = Atomic<Bool>(false)
        let answers = Atomic<Int>(0)
        let echoes = Atomic<Int>(0)

        func ask(_ fixture: BalancerFixture) async throws {
            let client = try await fixture.client()
            while !isOver.load(ordering: .relaxed) {
                let answer = try await client.request(ApplyTests.get)
                #expect(answer.status == 200)
                answers.wrappingAdd(1, ordering: .relaxed)
            }
            client.close()
        }

        /// A connection for each request.
        func connect(_ fixture: BalancerFixture) async throws {
            while !isOver.load(ordering: .relaxed) {
                let client = try await fixture.client()
                let status = try await client.request(ApplyTests.get).status
                #expect([200, 301, 308].contains(status))
                client.close()
                answers.wrappingAdd(1, ordering: .relaxed)
            }
        }

        func talk(_ fixture: BalancerFixture) async throws {
            let client = try await fixture.client()
            #expect(try await client.request(ApplyTests.upgrade).status == 101)
            while !isOver.load(ordering: .relaxed) {
                client.send("hello")
                #expect(try await client.bytes(5) == Array("hello".utf8))
                echoes.wrappingAdd(1, ordering: .relaxed)
            }
            client.close()
        }
    }
}
