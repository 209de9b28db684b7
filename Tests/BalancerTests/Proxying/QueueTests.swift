// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Reactor
import TestSupport
import Testing

/// Servers with a limit, and requests that wait for a place.
@Suite struct QueueTests {
    private static let pools = [("web", "web-1"), ("web", "web-2")]

    /// One place at each server; what is asked for under `/hold` stays until the server is told to answer.
    private func withOnePlace(
        _ pools: [(String, String)] = [("web", "web-1")],
        loops: Int = 2,
        limit: Int = 1,
        configure: @escaping @Sendable (inout BalancerConfiguration) -> Void = { _ in },
        _ body: @Sendable (BalancerFixture) async throws -> Void
    ) async throws {
        let all: @Sendable (inout BalancerConfiguration) -> Void = { configuration in
            BalancerFixture.quick(&configuration)
            for index in configuration.pools[0].servers.indices { configuration.pools[0].servers[index].maxConnections = limit }
            configure(&configuration)
        }
        let script: @Sendable (String, BackendRequest) -> BackendAction = { name, request in
            request.target.hasPrefix("/hold") ? .silence : BalancerFixture.byName(name, request)
        }
        try await BalancerFixture.with(pools, loops: loops, configure: all, script: script, body)
    }

    private func hold(_ fixture: BalancerFixture, _ path: String = "/hold") async throws -> TestClient {
        let client = try await fixture.client()
        client.send(BalancerFixture.get(path))
        return client
    }

    private func queued(_ count: Int, _ fixture: BalancerFixture) async throws {
        _ = try await eventually("\(count) to wait") { try await fixture.service.status()[0].queued == count ? true : nil }
    }

    @Test func whoWaitsIsServedInTheOrderOfComingOnAnyLoop() async throws {
        try await withOnePlace { fixture in
            let first = try await hold(fixture)
            _ = try await fixture.backends[0].requests.until { $0.count == 1 }
            var waiting: [TestClient] = []
            for number in 1...12 {
                waiting.append(try await hold(fixture, "/hold\(number)"))
                try await queued(number, fixture)
            }
            #expect(try await fixture.server("web-1").exchanges == 1)
            for number in 1...12 {
                try await fixture.backends[0].answerHeld("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                // The next one has the place, and nobody else.
                let seen = try await fixture.backends[0].requests.until { $0.count == number + 1 }
                #expect(seen[number].target == "/hold\(number)")
                #expect(try await fixture.server("web-1").exchanges == 1)
            }
            #expect(try await first.response().status == 200)
            #expect(try await waiting[0].response().status == 200)
            for client in waiting { client.reset() }
            try await fixture.until("web-1", "nothing") { $0.exchanges == 0 }
        }
    }

    @Test func waitingHasAnEnd() async throws {
        try await withOnePlace(configure: { $0.limits.queueTimeout = .milliseconds(300) }) { fixture in
            _ = try await hold(fixture)
            _ = try await fixture.backends[0].requests.first()
            let client = try await fixture.client()
            let answer = try await client.request(BalancerFixture.get)
            #expect(answer.status == 503 && answer.value("retry-after") == "1" && answer.text.contains("queue_timeout"))
            // The connection is as good as new.
            #expect(try await client.request(BalancerFixture.get).status == 503)
            try await queued(0, fixture)
            #expect(fixture.backends[0].requests.all.map(\.target) == ["/hold"])
        }
    }

    @Test func theQueueIsBounded() async throws {
        try await withOnePlace(configure: { $0.limits.queued = 2 }) { fixture in
            let holder = try await hold(fixture)
            _ = try await fixture.backends[0].requests.first()
            let clients = [try await hold(fixture, "/1"), try await hold(fixture, "/2")]
            try await queued(2, fixture)
            let answer = try await fixture.client().request(BalancerFixture.get)
            #expect(answer.status == 503 && answer.value("retry-after") == "1" && answer.text.contains("queue_full"))
            // Who leaves makes room in the queue, and is never sent to the server.
            clients[0].reset()
            try await queued(1, fixture)
            holder.reset()
            #expect(try await clients[1].response().text == "web-1")
            #expect(fixture.backends[0].requests.all.map(\.target) == ["/hold", "/2"])
        }
    }

    @Test func tunnelsCountAndLeaveTheirPlace() async throws {
        try await withOnePlace(limit: 2) { fixture in
            let tunnels = [try await fixture.tunnel(), try await fixture.tunnel()]
            let waiting = try await hold(fixture, "/")
            try await queued(1, fixture)
            #expect(try await fixture.server("web-1").tunnels == 2)
            tunnels[0].close()
            #expect(try await waiting.response().text == "web-1")
            try await fixture.until("web-1", "one tunnel") { $0.tunnels == 1 && $0.exchanges == 0 }
        }
    }

    @Test func aHigherLimitWakes() async throws {
        try await withOnePlace { fixture in
            _ = try await hold(fixture)
            _ = try await fixture.backends[0].requests.first()
            let waiting = try await hold(fixture, "/")
            try await queued(1, fixture)
            try await fixture.service.perform(.maxConnections(2), pool: "web", server: "web-1")
            #expect(try await waiting.response().text == "web-1")
            // No limit at all, with some waiting once more.
            let two = try await hold(fixture)
            try await fixture.until("web-1", "two") { $0.exchanges == 2 }
            let three = try await hold(fixture, "/")
            try await queued(1, fixture)
            try await fixture.service.perform(.maxConnections(0), pool: "web", server: "web-1")
            #expect(try await three.response().text == "web-1")
            two.close()
        }
    }

    @Test func pinnedClientsWaitForTheirServer() async throws {
        try await withOnePlace(Self.pools) { fixture in
            let cookie = try await fixture.pin(to: "web-1")
            let holder = try await fixture.client()
            holder.send(BalancerFixture.get("/hold", cookie: cookie))
            try await fixture.until("web-1", "busy") { $0.exchanges == 1 }
            let pinned = try await fixture.client()
            pinned.send(BalancerFixture.get("/pinned", cookie: cookie))
            try await fixture.until("web-1", "one in its queue") { $0.queued == 1 }
            // Others pass by, to the server with a place.
            #expect(try await fixture.answers(3) == ["web-2": 3])
            try await fixture.backends[0].push("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            #expect(try await holder.response().text == "ok")
            #expect(try await pinned.response().text == "web-1")
        }
    }

    /// A server that hangs has a full queue of its own clients: nobody else suffers from that.
    @Test func aFullQueueForOneServerIsNobodyElsesTrouble() async throws {
        try await withOnePlace(Self.pools, configure: { $0.limits.queued = 3 }) { fixture in
            let cookie = try await fixture.pin(to: "web-1")
            var pinned: [TestClient] = []
            for _ in 0..<4 {
                let client = try await fixture.client()
                client.send(BalancerFixture.get("/hold", cookie: cookie))
                pinned.append(client)
            }
            try await fixture.until("web-1", "three in its queue") { $0.exchanges == 1 && $0.queued == 3 }
            #expect(try await fixture.answers(4) == ["web-2": 4])
            for client in pinned { client.reset() }
            try await queued(0, fixture)
        }
    }

    @Test func whoWaitsForAServerThatGoesDownGoesElsewhere() async throws {
        try await withOnePlace(Self.pools) { fixture in
            let cookie = try await fixture.pin(to: "web-1")
            let holder = try await fixture.client()
            holder.send(BalancerFixture.get("/hold", cookie: cookie))
            try await fixture.until("web-1", "busy") { $0.exchanges == 1 }
            let pinned = try await fixture.client()
            pinned.send(BalancerFixture.get("/", cookie: cookie))
            try await fixture.until("web-1", "one in its queue") { $0.queued == 1 }
            fixture.backends[0].become(.down)
            #expect(try await pinned.response().text == "web-2")
            // With nobody left, waiting is pointless.
            let other = try await hold(fixture)
            try await fixture.until("web-2", "busy") { $0.exchanges == 1 }
            let last = try await hold(fixture, "/")
            try await queued(1, fixture)
            fixture.backends[1].become(.down)
            let answer = try await last.response()
            #expect(answer.status == 503 && answer.text.contains("no_server"))
            other.close()
        }
    }

    /// Many clients on several loops over a few places: nobody is forgotten, and the limit holds.
    @Test func noWakeUpIsLost() async throws {
        let all: @Sendable (inout BalancerConfiguration) -> Void = { configuration in
            for index in configuration.pools[0].servers.indices { configuration.pools[0].servers[index].maxConnections = 2 }
            configuration.pools[0].sticky = nil
            configuration.pools[0].balance = .leastConnections
        }
        let script: @Sendable (String, BackendRequest) -> BackendAction = { name, request in
            // Some keep their connection, some end with it.
            request.values("x-close").isEmpty
                ? .ok(name) : .sendThenClose("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        try await BalancerFixture.with(Self.pools, loops: 3, configure: all, script: script) { fixture in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<24 {
                    group.addTask {
                        let client = try await fixture.client()
                        defer { client.close() }
                        for _ in 0..<60 {
                            let answer = try await client.request(BalancerFixture.get(fields: number % 3 == 0 ? "X-Close: 1\r\n" : ""))
                            guard answer.status == 200 else { return answer.status }
                        }
                        return 200
                    }
                }
                for try await status in group { #expect(status == 200) }
            }
            let servers = try await fixture.service.status()[0].servers
            #expect(servers.allSatisfy { $0.exchanges == 0 && $0.queued == 0 } && servers.reduce(0) { $0 + $1.requests } == 24 * 60)
            #expect(fixture.backends.reduce(0) { $0 + $1.requests.all.count } == 24 * 60)
        }
    }
}
