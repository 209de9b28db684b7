// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import Reactor
import Testing
import Wire

@Suite("The way to a Redis")
struct RedisRouteStateMachineTests {
    private static let (a, b, c) = (Endpoint(host: "a", port: 1), Endpoint(host: "b", port: 2), Endpoint(host: "c", port: 3))

    private static func route(_ topology: RedisEndpoint.Topology, _ servers: [Endpoint] = [a, b]) -> RedisRouteStateMachine {
        RedisRouteStateMachine(servers: servers, topology: topology)
    }

    @Test("to one server is always the same, with pauses that grow and begin anew")
    func fixed() {
        var route = Self.route(.fixed, [Self.a])
        for pause in [50, 100, 200, 400, 500, 500] {
            #expect(route.attemptDue() == .connect(Self.a))
            #expect(route.closed(at: 0, random: 0) == .retry(after: .milliseconds(pause)))
        }
        #expect(route.attemptDue() == .connect(Self.a))
        route.opened()
        // A node of a cluster, by a plain address: it isn't followed.
        #expect(route.moved(to: Self.b, at: 0) == .stay)
        #expect(route.closed(at: 0, random: 0) == .retry(after: .milliseconds(50)))
        #expect(route.attemptDue() == .connect(Self.a))
    }

    @Test("by sentinels asks each once an attempt, and the one that answered first the next time too")
    func sentinels() {
        var route = Self.route(.sentinel(master: "main"), [Self.a, Self.b, Self.c])
        #expect(route.attemptDue() == .ask(Self.a))
        #expect(route.sentinelFailed(random: 0) == .ask(Self.b))
        #expect(route.sentinelFailed(random: 0) == .ask(Self.c))
        #expect(route.sentinelFailed(random: 0) == .retry(after: .milliseconds(50)))
        #expect(route.attemptDue() == .ask(Self.a))
        #expect(route.sentinelFailed(random: 0) == .ask(Self.b))
        let master = Endpoint(host: "m", port: 9)
        #expect(route.masterTold(master) == .connect(master))
        route.opened()
        #expect(route.next == Self.b)
        #expect(route.masterChecked(master) == .stay)
        #expect(route.masterChecked(nil) == .stay)
        #expect(route.next == Self.c)
        #expect(route.masterChecked(Self.a) == .leave)
        #expect(route.closed(at: 0, random: 0) == .retry(after: .milliseconds(50)))
    }

    @Test("asks another sentinel after one that named a server which isn't the master")
    func staleSentinel() {
        var route = Self.route(.sentinel(master: "main"))
        #expect(route.attemptDue() == .ask(Self.a))
        #expect(route.masterTold(Self.c) == .connect(Self.c))
        #expect(route.closed(at: 0, random: 0) == .retry(after: .milliseconds(50)))
        #expect(route.attemptDue() == .ask(Self.b))
        // An answer about the connection that was lost meanwhile.
        #expect(route.masterChecked(Self.c) == .stay)
    }

    @Test("in a cluster follows a redirection at once, and stays with the owner")
    func redirected() {
        var route = Self.route(.cluster)
        #expect(route.attemptDue() == .connect(Self.a))
        route.nodesTold([Self.a, Self.c])
        #expect(route.moved(to: Self.c, at: 0) == .leave)
        #expect(route.closed(at: 0, random: 0) == .attempt)
        #expect(route.attemptDue() == .connect(Self.c))
        route.opened()
        #expect(route.moved(to: Self.c, at: 0) == .stay)
        // The slot moves while the connection is open.
        #expect(route.moved(to: Self.b, at: 0) == .leave)
        #expect(route.closed(at: 0, random: 0) == .retry(after: .milliseconds(50)))
        #expect(route.attemptDue() == .connect(Self.b))
        route.opened()
        // Lost, not left: the owner first.
        #expect(route.closed(at: 0, random: 0) == .retry(after: .milliseconds(50)))
        #expect(route.attemptDue() == .connect(Self.b))
    }

    @Test("in a cluster uses any node while the owner can't be reached, and looks for it again")
    func deadOwner() {
        var route = Self.route(.cluster)
        #expect(route.attemptDue() == .connect(Self.a))
        #expect(route.moved(to: Self.c, at: 1_000) == .leave)
        #expect(route.closed(at: 1_000, random: 0) == .attempt)
        #expect(route.attemptDue() == .connect(Self.c))
        #expect(route.closed(at: 1_000, random: 0) == .retry(after: .milliseconds(50)))
        #expect(route.attemptDue() == .connect(Self.a))
        #expect(route.moved(to: Self.c, at: 1_100) == .stay)
        route.opened()
        #expect(route.moved(to: Self.c, at: 2_999) == .stay)
        #expect(route.moved(to: Self.c, at: 3_000) == .leave)
        #expect(route.closed(at: 3_000, random: 0) == .retry(after: .milliseconds(50)))
        #expect(route.attemptDue() == .connect(Self.c))
        #expect(route.closed(at: 3_100, random: 0) == .retry(after: .milliseconds(100)))
        #expect(route.attemptDue() == .connect(Self.a))
        // A replica took over.
        #expect(route.moved(to: Self.b, at: 3_200) == .leave)
        #expect(route.closed(at: 3_200, random: 0) == .attempt)
        #expect(route.attemptDue() == .connect(Self.b))
    }

    @Test("in a cluster pauses when nodes send it to and fro")
    func confusedCluster() {
        var route = Self.route(.cluster)
        var closes: [RedisRouteStateMachine.CloseAction] = []
        for round in 0..<5 {
            let other = round % 2 == 0 ? Self.b : Self.a
            _ = route.attemptDue()
            #expect(route.moved(to: other, at: 0) == .leave)
            closes.append(route.closed(at: 0, random: 0))
        }
        #expect(closes == [.attempt, .attempt, .attempt, .retry(after: .milliseconds(50)), .retry(after: .milliseconds(100))])
    }

    @Test("in a cluster leads to every node in turn, those that were only heard of too")
    func nodes() {
        var route = Self.route(.cluster, [Self.a])
        route.nodesTold([Self.a, Self.b, Self.c])
        var tried: [RedisRouteStateMachine.AttemptAction] = []
        for _ in 0..<4 {
            tried.append(route.attemptDue())
            _ = route.closed(at: 0, random: 0)
        }
        #expect(tried == [Self.a, Self.b, Self.c, Self.a].map { .connect($0) })
        route.nodesTold((10..<200).map { Endpoint(host: "n", port: $0) })
        var hosts: Set<Endpoint> = []
        for _ in 0..<200 {
            hosts.insert(route.next)
            _ = route.attemptDue()
            _ = route.closed(at: 0, random: 0)
        }
        // So many of an answer, the one that was next, and the URL's.
        #expect(hosts.count == 64 + 2)
    }

    @Test("in a cluster forgets a node that is no longer told, but none of the URL's")
    func nodesGone() {
        var route = Self.route(.cluster, [Self.a])
        func round() -> [Endpoint] {
            (0..<3).map { _ in
                defer {
                    _ = route.attemptDue()
                    _ = route.closed(at: 0, random: 0)
                }
                return route.next
            }
        }
        route.nodesTold([Self.b])
        #expect(round() == [Self.a, Self.b, Self.a])
        route.nodesTold([Self.c])
        // It was next, and is tried once more.
        #expect(round() == [Self.b, Self.c, Self.a])
        route.nodesTold([Self.c])
        #expect(round() == [Self.b, Self.c, Self.a])
        _ = route.attemptDue()
        _ = route.closed(at: 0, random: 0)
        route.nodesTold([Self.c])
        #expect(round() == [Self.c, Self.a, Self.c])
        // Nobody could say anything.
        route.nodesTold([])
        #expect(round() == [Self.a, Self.c, Self.a])
    }

    @Test(
        "reads who owns a slot",
        arguments: [
            ("MOVED 3999 10.0.0.7:6381", Endpoint(host: "10.0.0.7", port: 6381)), ("MOVED 1 ::1:7000", Endpoint(host: "::1", port: 7000)),
            ("MOVED 1 node-3.example:7000", Endpoint(host: "node-3.example", port: 7000)),
            ("MOVED 1 :7000", Endpoint(host: "said", port: 7000)),
            ("MOVED 1 ?:7000", Endpoint(host: "said", port: 7000)), ("MOVED 1 a:0", nil), ("MOVED 1 a", nil), ("MOVED 1", nil),
            ("MOVED 1 a:99999", nil), ("ASK 3999 10.0.0.7:6381", nil), ("ERR MOVED 1 a:1", nil), ("", nil),
        ]
    )
    func moved(error: String, owner: Endpoint?) {
        #expect(ClusterNodes.owner(in: error, said: Endpoint(host: "said", port: 1)) == owner)
    }

    @Test("reads the nodes of a cluster, and leaves out what it can't read")
    func slots() {
        func node(_ host: RESPValue, _ port: RESPValue) -> RESPValue { .array([host, port, .bulk(Array("id".utf8)), .array([])]) }
        func text(_ text: String) -> RESPValue { .bulk(Array(text.utf8)) }
        let reply = RESPValue.array([
            .array([.integer(0), .integer(99), node(text("10.0.0.1"), .integer(1)), node(text("10.0.0.2"), .integer(2))]),
            .array([.integer(100), .integer(16_383), node(.null, .integer(3)), node(text("10.0.0.1"), .integer(1)), node(text("x"), .null)]
            ),
            .array([.integer(1)]), .null, .array([.integer(0), .integer(1), .array([text("y")]), node(text("z"), .integer(70_000))]),
        ])
        let nodes = ClusterNodes.all(in: reply, said: Endpoint(host: "said", port: 9))
        #expect(nodes == [Endpoint(host: "10.0.0.1", port: 1), Endpoint(host: "10.0.0.2", port: 2), Endpoint(host: "said", port: 3)])
        #expect(ClusterNodes.all(in: .error("ERR no"), said: Endpoint(host: "said", port: 9)) == [])
    }
}
