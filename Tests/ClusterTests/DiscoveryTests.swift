// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import Synchronization
import TestSupport
import Testing

extension ClusterSuite {
    /// Processes of every role that know each other through Redis alone, with PostgreSQL behind them.
    @Suite struct DiscoveryTests {
        /// Does one thing again and again until it is told to stop. What went wrong is kept.
        private final class Caller: Sendable {
            let done = Mutex(0)
            let failures = Events<String>()
            private let isOver = Mutex(false)

            func stop() { isOver.withLock { $0 = true } }

            func run(_ call: @Sendable () async throws -> String?) async {
                while !isOver.withLock({ $0 }) {
                    do {
                        if let failure = try await call() { failures.emit(failure) }
                    } catch {
                        failures.emit("\(error)")
                    }
                    done.withLock { $0 += 1 }
                }
            }
        }

        /// The processes, by name.
        private struct Parts: Sendable {
            let bench: ProcessBench
            let settings: [String: String]
            let token: String
            let port: UInt16
            let admin: UInt16

            var rest: PlainHTTP { PlainHTTP(port: port, token: token) }

            func start(_ role: String, _ name: String) async throws -> DevProcess {
                let port = try freePort()
                let process = try await bench.start(
                    [role, "--name", name, "--listen", "127.0.0.1:\(port)", "--advertise", "127.0.0.1:\(port)"],
                    environment: settings
                )
                try await bench.until("/readyz", port)
                return process
            }

            /// `pool/name state` of every server that the balancer knows.
            func servers() async throws -> [String: Int] {
                struct Listing: Decodable {
                    struct Item: Decodable {
                        let pool, name, state: String
                        let requests: Int
                    }
                    let items: [Item]
                }
                let answer = try await PlainHTTP(port: admin).call("GET", "/v1/servers")
                let items = try JSONDecoder().decode(Listing.self, from: Data(answer.body)).items
                return Dictionary(items.map { ("\($0.pool)/\($0.name) \($0.state)", $0.requests) }, uniquingKeysWith: +)
            }

            func untilServers(_ expected: Set<String>) async throws {
                _ = try await eventually(within: .seconds(40), "\(expected.sorted())") { () -> Bool? in
                    Set(try await servers().keys) == expected ? true : nil
                }
            }
        }

        private static func with(_ body: @Sendable (Parts) async throws -> Void) async throws {
            try await withPostgres { postgres in
                try await withRedis { redis in
                    try await ProcessBench.with { bench in
                        let token = "kv_root_\(UUID().uuidString)\(UUID().uuidString)"
                        let settings = [
                            "KEYVANE_POSTGRES": postgres, "KEYVANE_REDIS": redis.url, "KEYVANE_ROOT_TOKEN": token,
                            "KEYVANE_MASTER_KEYS": "k1:\(Data(repeating: 7, count: 32).base64EncodedString())",
                        ]
                        #expect(try await DevProcess.run(["migrate"], environment: settings).exit == .code(0))
                        let (port, admin) = (try freePort(), try freePort())
                        let balancer = try await bench.start([
                            "balancer", "--listen", "127.0.0.1:\(port)", "--admin", "127.0.0.1:\(admin)", "--discover", redis.url,
                            "--access-log", "off",
                        ])
                        try await bench.until("/livez", port)
                        try await body(Parts(bench: bench, settings: settings, token: token, port: port, admin: admin))
                        try await bench.stop(balancer)
                    }
                }
            }
        }

        @Test func whoIsFoundInTheRegistryLeavesAndReturnsWithoutAFailedRequest() async throws {
            try await Self.with { parts in
                let (first, gateway) = (try await parts.start("api", "api-1"), try await parts.start("gateway", "gateway-1"))
                let others = (try await parts.start("api", "api-2"), try await parts.start("gateway", "gateway-2"))
                let all: Set = ["api/api-1 up", "api/api-2 up", "gateway/gateway-1 up", "gateway/gateway-2 up"]
                try await parts.untilServers(all)
                for (path, slug) in [
                    ("workspaces", "acme"), ("workspaces/acme/projects", "web"), ("projects/acme/web/environments", "production"),
                ] {
                    #expect(try await parts.rest.call("POST", "/v1/\(path)", body: "{\"slug\":\"\(slug)\"}").status == 201)
                }
                let watchers = (0..<4).map { _ in Watcher(url: "http://127.0.0.1:\(parts.port)", token: parts.token) }
                let callers = (0..<4).map { _ in Caller() }
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for (index, caller) in callers.enumerated() { tasks.addTask { await Self.call(parts, index, caller) } }
                    defer { for caller in callers { caller.stop() } }
                    try await withWatchers(watchers) {
                        for watcher in watchers { try await watcher.started() }
                        try await Self.progress(callers)
                        // An API that goes: it says so in the registry and serves on meanwhile.
                        try await parts.bench.stop(first)
                        try await parts.untilServers(all.subtracting(["api/api-1 up"]))
                        try await Self.progress(callers)
                        // Gateways close their watchers themselves, who go on at the other.
                        try await parts.bench.stop(gateway)
                        try await parts.untilServers(["api/api-2 up", "gateway/gateway-2 up"])
                        try await Self.progress(callers)
                        // Elsewhere than before, by the same name.
                        let again = (try await parts.start("api", "api-1"), try await parts.start("gateway", "gateway-1"))
                        try await parts.untilServers(all)
                        try await parts.bench.stop(others.0)
                        try await parts.bench.stop(others.1)
                        try await Self.progress(callers)
                        let servers = try await parts.servers()
                        #expect(servers["api/api-1 up"].map { $0 > 0 } == true && servers["gateway/gateway-1 up"].map { $0 > 0 } == true)
                        for caller in callers { caller.stop() }
                        let last = try await parts.rest.call("PUT", "\(Cluster.restPath)/variables/LAST", body: "{\"value\":\"1\"}")
                        let revision = try #require(last.fields["keyvane-revision"].flatMap { Int($0) })
                        for watcher in watchers {
                            try await watcher.reached(revision)
                            // Those that were there when it came are in its first state; a call that was under way may have come behind the last.
                            let revisions = watcher.revisions.filter { $0 <= revision }
                            #expect(revisions == Array((revisions.first ?? 0)...revision))
                        }
                        try await parts.bench.stop(again.0)
                        try await parts.bench.stop(again.1)
                    }
                }
                for (index, caller) in callers.enumerated() {
                    #expect(caller.failures.all.isEmpty, "caller \(index): \(caller.failures.all.prefix(5))")
                }
            }
        }

        /// Reads on new connections; the same with the balancer's cookie, which pins it to one API; writes; WebSockets, opened and closed.
        private static func call(_ parts: Parts, _ index: Int, _ caller: Caller) async {
            let cookie = Mutex<String?>(nil)
            let number = Mutex(0)
            let loop = parts.bench.loop
            await caller.run {
                switch index {
                case 0:
                    return Self.fault(try await parts.rest.call("GET", "/v1/workspaces"))
                case 1:
                    let fields = cookie.withLock { $0 }.map { [("Cookie", $0)] } ?? []
                    let answer = try await parts.rest.call("GET", "/v1/workspaces/acme", fields: fields)
                    if let new = answer.fields["set-cookie"]?.prefix(while: { $0 != ";" }) { cookie.withLock { $0 = String(new) } }
                    return Self.fault(answer)
                case 2:
                    let next = number.withLock { number in
                        number += 1
                        return number
                    }
                    return Self.fault(try await parts.rest.call("PUT", "\(Cluster.restPath)/variables/A", body: "{\"value\":\"\(next)\"}"))
                default:
                    let socket = try await WebSocketClient.connect(
                        port: parts.port,
                        "/v1/watch?environment=\(Cluster.environmentPath)",
                        fields: [("Authorization", "Bearer \(parts.token)")],
                        on: loop
                    )
                    defer { socket.abort() }
                    let event = try await socket.events.first(within: .seconds(30), "an answer to the upgrade")
                    guard case .opened = event else { return "\(event)" }
                    return nil
                }
            }
        }

        private static func fault(_ answer: PlainAnswer) -> String? {
            answer.status == 200 || answer.status == 201 ? nil : "\(answer.status) \(answer.text)"
        }

        private static func progress(_ callers: [Caller]) async throws {
            let before = callers.map { $0.done.withLock { $0 } }
            _ = try await eventually(within: .seconds(40), "20 calls of each") { () -> Bool? in
                zip(callers, before).allSatisfy { caller, before in caller.done.withLock { $0 } >= before + 20 } ? true : nil
            }
        }
    }
}
