// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient
import Synchronization
import TestSupport
import Testing

extension ClusterSuite {
    /// The database goes back to an older state while everything runs: what was committed since is gone, and its revisions come again
    /// with other changes.
    @Suite struct RestoreTests {
        private struct Parts: Sendable {
            let cluster: Cluster
            let database: PostgresDatabase
            let proxy: RedisProxy
            /// One on each gateway, and one behind the balancer.
            let watchers: [Watcher]

            /// A write that is sent until PostgreSQL, which has just been started, takes it.
            @discardableResult
            func put(_ name: String, _ value: String) async throws -> Int {
                try await eventually(within: .seconds(20), "PUT \(name)") { try? await cluster.put(name, value) }
            }

            func delete(_ name: String) async throws {
                #expect(try await cluster.rest.call("DELETE", "\(Cluster.restPath)/variables/\(name)").status == 204)
            }

            /// Every watcher's own view is this.
            func untilAll(hold view: WatcherView) async throws {
                for (index, watcher) in watchers.enumerated() {
                    do {
                        try await watcher.events.until(within: .seconds(20), "\(view)") { WatcherView(after: $0) == view }
                    } catch {
                        throw DeadlinePassed(
                            "watcher \(index): \(error), it holds \(String(describing: WatcherView(after: watcher.events.all)))"
                        )
                    }
                }
            }

            /// What REST says now.
            func truth() async throws -> WatcherView {
                struct Configuration: Decodable {
                    struct Entry: Decodable { let name, value: String }
                    let revision: Int
                    let entries: [Entry]
                }
                let answer = try await cluster.rest.call("GET", "\(Cluster.restPath)/configuration")
                let configuration = try JSONDecoder().decode(Configuration.self, from: Data(answer.body))
                let entries = Dictionary(uniqueKeysWithValues: configuration.entries.map { ($0.name, $0.value) })
                return WatcherView(revision: configuration.revision, entries: entries)
            }

            /// Revisions 1 to 6, which the backup has.
            func writeWhatIsKept() async throws -> WatcherView {
                for number in 1...5 { try await put("A", "\(number)") }
                try await put("B", "kept")
                let view = WatcherView(revision: 6, entries: ["A": "5", "B": "kept"])
                try await untilAll(hold: view)
                return view
            }

            /// Revisions 7 to 12.
            func writeWhatIsLost() async throws {
                for number in 7...10 { try await put("A", "lost \(number)") }
                try await put("LOST", "1")
                try await delete("B")
            }

            /// The last states that came as such.
            func snapshots() -> [Int] {
                watchers.map { watcher in watcher.events.all.filter { if case .state = $0 { true } else { false } }.count }
            }
        }

        private static func with(_ body: @escaping @Sendable (Parts) async throws -> Void) async throws {
            try await withPrivatePostgres { database in
                try await withRedis { redis in
                    try await withRedisProxy(to: redis.port) { proxy in
                        try await withCluster(["--gateways", "2", "--redis", proxy.url, "--postgres", database.url]) { cluster in
                            _ = try await cluster.createEnvironment()
                            let state = try cluster.state
                            let watchers = try cluster.watchers() + [Watcher(url: state.url, token: state.token)]
                            let parts = Parts(cluster: cluster, database: database, proxy: proxy, watchers: watchers)
                            try await withWatchers(watchers) { try await body(parts) }
                        }
                    }
                }
            }
        }

        /// As docs/operations.md says it: `pg_restore --clean --single-transaction`, and nobody is stopped.
        @Test func aDumpRestoredUnderRunningProcessesReachesEveryWatcher() async throws {
            try await Self.with { parts in
                let kept = try await parts.writeWhatIsKept()
                try await parts.database.server.backUp(database: parts.database.name)
                try await parts.writeWhatIsLost()
                try await parts.untilAll(hold: WatcherView(revision: 12, entries: ["A": "lost 10", "LOST": "1"]))
                try await parts.database.server.restore(database: parts.database.name)
                // Nobody writes, and still they learn that the head went back: by a snapshot, as nothing else can say it.
                try await parts.untilAll(hold: kept)
                #expect(parts.snapshots() == [2, 2, 2])
                // Beyond the lost numbers, one by one.
                for number in 7...14 { #expect(try await parts.put("A", "new \(number)") == number) }
                try await parts.untilAll(hold: WatcherView(revision: 14, entries: ["A": "new 14", "B": "kept"]))
                #expect(try await parts.truth() == WatcherView(revision: 14, entries: ["A": "new 14", "B": "kept"]))
                for watcher in parts.watchers { #expect(watcher.revisions.suffix(8) == Array(7...14)) }
                #expect(parts.snapshots() == [2, 2, 2])
            }
        }

        /// The data folder is replaced, the next writes come before anybody has looked, and pass the lost numbers; then Redis delivers
        /// messages of the lost changes, whose signatures are right and whose revisions fit.
        @Test func oldMessagesAndReusedRevisionsMisleadNobody() async throws {
            try await Self.with { parts in
                _ = try await parts.writeWhatIsKept()
                try await parts.database.server.copyData()
                let held = Mutex(0)
                parts.proxy.onMessage { message in
                    guard message.payload.contains("lost 9") || message.payload.contains("lost 10") else { return .forward }
                    held.withLock { $0 += 1 }
                    return .delay(.seconds(4))
                }
                try await parts.put("A", "5")
                try await parts.writeWhatIsLost()
                try await parts.database.server.restoreData()
                for number in 7...12 { #expect(try await parts.put("A", "new \(number)") == number) }
                let last = try await parts.put("A", "new 13")
                try await parts.untilAll(hold: WatcherView(revision: 13, entries: ["A": "new 13", "B": "kept"]))
                #expect(last == 13)
                // The late messages come amid these, and everybody is right again each time.
                let arrived = ContinuousClock.now + .seconds(5)
                var number = 13
                while ContinuousClock.now < arrived {
                    number += 1
                    #expect(try await parts.put("A", "new \(number)") == number)
                    try await parts.untilAll(hold: WatcherView(revision: number, entries: ["A": "new \(number)", "B": "kept"]))
                }
                // Two messages for each gateway.
                #expect(held.withLock { $0 } >= 4)
                #expect(try await parts.truth() == WatcherView(revision: number, entries: ["A": "new \(number)", "B": "kept"]))
                #expect(parts.snapshots().allSatisfy { $0 >= 2 })
            }
        }
    }
}

/// What a client holds after all that it was told.
struct WatcherView: Equatable, Sendable {
    var revision: Int
    var entries: [String: String]

    init(revision: Int, entries: [String: String]) {
        self.revision = revision
        self.entries = entries
    }

    /// Nil before its first state.
    init?(after events: [Watcher.Event]) {
        var view: WatcherView?
        for event in events {
            switch event {
            case .state(let revision, let entries, _): view = WatcherView(revision: revision, entries: entries)
            case .change(let change, _, let frame, _):
                view?.revision = frame
                view?.entries[change.name] = change.op == .set ? change.value : nil
            case .connected, .disconnected: continue
            }
        }
        guard let view else { return nil }
        self = view
    }
}
