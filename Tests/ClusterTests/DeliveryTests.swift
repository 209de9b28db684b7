// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

extension ClusterSuite {
    /// Every watcher gets every change, once and in order, whatever is broken on the way.
    @Suite struct DeliveryTests {
        @Test func aChangeReachesTheWatchersOfEveryGateway() async throws {
            try await withCluster { cluster in
                let id = try await cluster.createEnvironment()
                let watchers = try cluster.watchers()
                let tap = try RedisTap(cluster.state.redis.url)
                tap.subscribe()
                try await withWatchers(watchers) {
                    #expect(Set(watchers.compactMap(\.gateway)) == ["gateway-1", "gateway-2", "gateway-3"])
                    for number in 1...20 {
                        let revision = try await cluster.put("COLOUR", "shade \(number)")
                        #expect(revision == number)
                    }
                    for watcher in watchers { try await watcher.reached(20) }
                    for watcher in watchers { #expect(watcher.revisions == Array(1...20)) }
                }
                // The four fields of the article that the product was asked for with, in its order.
                let first = try await tap.messages.first("the message on change-notifier")
                #expect(first.hasPrefix("{\"environmentId\":\"\(id)\",\"name\":\"COLOUR\",\"value\":\"shade 1\",\"isSecret\":false,"))
            }
        }

        @Test func aTransactionArrivesWhole() async throws {
            try await withCluster { cluster in
                _ = try await cluster.createEnvironment()
                let watchers = try cluster.watchers()
                try await withWatchers(watchers) {
                    let set = (1...150).map { "{\"name\":\"KEY_\($0)\",\"value\":\"\($0)\"}" }.joined(separator: ",")
                    let answer = try await cluster.rest.call("PATCH", "\(Cluster.restPath)/configuration", body: "{\"set\":[\(set)]}")
                    #expect(answer.status == 200)
                    for watcher in watchers {
                        try await watcher.reached(150)
                        let frames = watcher.events.all.compactMap { event -> [Int]? in
                            if case .change(_, let previous, let frame, _) = event { [previous, frame] } else { nil }
                        }
                        // All 150 changes came in one frame: a frame never shows a part of a transaction.
                        #expect(frames == Array(repeating: [0, 150], count: 150))
                    }
                }
            }
        }

        @Test func withRedisStoppedChangesArriveWithinASecondOrSo() async throws {
            try await withCluster { cluster in
                _ = try await cluster.createEnvironment()
                let watchers = try cluster.watchers()
                try await withWatchers(watchers) {
                    try await cluster.put("A", "1")
                    for watcher in watchers { try await watcher.reached(1) }
                    // Stopped, not killed: its connections stay open and silent, which is the harder case, and dev doesn't start another.
                    let redis = try #require(try cluster.state.redis.pid)
                    kill(redis, SIGSTOP)
                    for number in 2...5 { try await cluster.put("A", "\(number)") }
                    for watcher in watchers { try await watcher.reached(5) }
                    kill(redis, SIGCONT)
                    for number in 6...10 { try await cluster.put("A", "\(number)") }
                    for watcher in watchers { try await watcher.reached(10) }
                    for watcher in watchers { #expect(watcher.revisions == Array(1...10)) }
                }
            }
        }

        @Test func aWatcherOfAKilledGatewayGoesOnElsewhereWithoutAGap() async throws {
            try await withCluster { cluster in
                _ = try await cluster.createEnvironment()
                let state = try cluster.state
                let first = Watcher(url: "http://\(state.gateways[0].address)", token: state.token)
                try await withWatchers([first]) {
                    for number in 1...5 { try await cluster.put("A", "\(number)") }
                    try await first.reached(5)
                }
                kill(state.gateways[0].pid, SIGKILL)
                for number in 6...12 { try await cluster.put("A", "\(number)") }
                let second = Watcher(url: "http://\(state.gateways[1].address)", token: state.token, since: first.cursor)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await second.run() }
                    group.addTask { try await second.reached(12) }
                    try await group.next()
                    group.cancelAll()
                }
                #expect(second.gateway == "gateway-2")
                #expect(first.revisions + second.revisions == Array(1...12))
            }
        }

        @Test func aBalancedWatcherSurvivesTheDeathOfItsGateway() async throws {
            try await withCluster { cluster in
                _ = try await cluster.createEnvironment()
                let state = try cluster.state
                let watcher = Watcher(url: state.url, token: state.token)
                try await withWatchers([watcher]) {
                    try await cluster.put("A", "1")
                    try await watcher.reached(1)
                    let victim = try #require(state.gateways.first { $0.name == watcher.gateway })
                    kill(victim.pid, SIGKILL)
                    for number in 2...8 { try await cluster.put("A", "\(number)") }
                    try await watcher.reached(8)
                    #expect(watcher.revisions == Array(1...8))
                }
            }
        }

        @Test func whatAKilledAPIHasCommittedIsAnnouncedByAnother() async throws {
            try await withCluster { cluster in
                _ = try await cluster.createEnvironment()
                try await cluster.put("A", "1")
                let state = try cluster.state
                let watchers = try cluster.watchers()
                let tap = try RedisTap(state.redis.url)
                tap.subscribe()
                try await withWatchers(watchers) {
                    // A Redis that takes nothing holds the API between its commit and its publish; there it dies.
                    let redis = try #require(state.redis.pid)
                    kill(redis, SIGSTOP)
                    var direct = PlainHTTP(port: state.apis[0].port)
                    direct.token = state.token
                    let answer = try await direct.call("PUT", "\(Cluster.restPath)/variables/A", body: "{\"value\":\"orphan\"}")
                    #expect(answer.status == 200)
                    kill(state.apis[0].pid, SIGKILL)
                    kill(redis, SIGCONT)
                    for watcher in watchers {
                        try await watcher.reached(2)
                        #expect(watcher.revisions == [2])
                    }
                    // And the doorbell rang in the end: the outbox row was not lost with the process.
                    try await tap.messages.until("the announcement by another API") { $0.contains { $0.contains("\"last\":2") } }
                }
            }
        }
    }
}
