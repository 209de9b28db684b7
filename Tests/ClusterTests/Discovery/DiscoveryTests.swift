// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import Synchronization
import TestSupport
import Testing

extension ClusterSuite {
    /// Instances come and go, and nobody who calls notices.
    @Suite struct DiscoveryTests {
        @Test func whoIsFoundInTheRegistryLeavesAndReturnsWithoutAFailedRequest() async throws {
            try await withPostgres { postgres in
                try await DiscoveredCluster.with(postgres: postgres, Self.leavingAndReturning)
            }
        }

        /// One without a watcher has nothing to close, and was gone before the balancer had heard of it, which then sent it clients for seconds.
        @Test func anIdleGatewayIsNoServerAnyMoreWhenItEnds() async throws {
            try await withPostgres { postgres in
                try await DiscoveredCluster.with(postgres: postgres) { parts in
                    let going = (try await parts.start("gateway", "gateway-1"), try await parts.start("gateway", "gateway-2"))
                    let staying = try await parts.start("gateway", "gateway-3")
                    try await parts.untilServers(["gateway/gateway-1 up", "gateway/gateway-2 up", "gateway/gateway-3 up"])
                    async let first: Void = parts.bench.stop(going.0)
                    async let second: Void = parts.bench.stop(going.1)
                    _ = try await (first, second)
                    let up = try await parts.servers().keys.filter { $0.hasSuffix(" up") }
                    #expect(up == ["gateway/gateway-3 up"])
                    try await parts.bench.stop(staying)
                }
            }
        }

        private static func leavingAndReturning(_ parts: DiscoveredCluster) async throws {
            let (first, gateway) = (try await parts.start("api", "api-1"), try await parts.start("gateway", "gateway-1"))
            let others = (try await parts.start("api", "api-2"), try await parts.start("gateway", "gateway-2"))
            let all: Set = ["api/api-1 up", "api/api-2 up", "gateway/gateway-1 up", "gateway/gateway-2 up"]
            try await parts.untilServers(all)
            try await parts.createEnvironments(["production"])
            let watchers = (0..<4).map { _ in Watcher(url: "http://127.0.0.1:\(parts.port)", token: parts.token) }
            let callers = (0..<4).map { _ in Caller() }
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for (index, caller) in callers.enumerated() { tasks.addTask { await call(parts, index, caller) } }
                defer { for caller in callers { caller.stop() } }
                try await withWatchers(watchers) {
                    for watcher in watchers { try await watcher.started() }
                    try await Caller.progress(callers)
                    // An API that goes: it says so in the registry and serves on meanwhile.
                    try await parts.bench.stop(first)
                    try await parts.untilServers(all.subtracting(["api/api-1 up"]))
                    try await Caller.progress(callers)
                    // Gateways close their watchers themselves, who go on at the other.
                    try await parts.bench.stop(gateway)
                    try await parts.untilServers(["api/api-2 up", "gateway/gateway-2 up"])
                    try await Caller.progress(callers)
                    // Elsewhere than before, by the same name.
                    let again = (try await parts.start("api", "api-1"), try await parts.start("gateway", "gateway-1"))
                    try await parts.untilServers(all)
                    try await parts.bench.stop(others.0)
                    try await parts.bench.stop(others.1)
                    try await Caller.progress(callers)
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

        /// Reads on new connections; the same with the balancer's cookie, which pins it to one API; writes; WebSockets, opened and closed.
        private static func call(_ parts: DiscoveredCluster, _ index: Int, _ caller: Caller) async {
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
    }
}
