// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Notifier
import Store
import Synchronization
import TestSupport
import Testing

/// What Redis and PostgreSQL do wrong changes nothing in what watchers receive.
@Suite struct ResilienceTests {
    @Test func messagesLostDoubledAndReordered() async throws {
        try await withRedis { redis in
            try await withRedisProxy(to: redis.port) { proxy in
                try await GatewayFixture.with(redisURL: proxy.url, redis: redis) { gateway in
                    let first = try await gateway.watch()
                    let second = try await gateway.watch("&names=K_1,K_2")
                    proxy.onMessage { message in
                        // Of every seven messages one is lost, one comes twice, one late, two in the wrong order.
                        switch message.index % 7 {
                        case 1: .drop
                        case 2: .duplicate
                        case 4: .delay(.milliseconds(30))
                        case 5: .swapWithNext
                        default: .forward
                        }
                    }
                    var last: Int64 = 0
                    for round in 0..<60 {
                        let changes = try await gateway.commit(.set("K_\(round % 5)", "\(round)"), .set("LAST", "\(round)"))
                        last = changes[1].revision
                    }
                    let values = try await first.values(at: last, within: .seconds(20))
                    #expect(values == ["K_0": "55", "K_1": "56", "K_2": "57", "K_3": "58", "K_4": "59", "LAST": "59"])
                    let revisions = first.frames.flatMap { $0.changes ?? [] }.map(\.revision)
                    #expect(revisions == Array(1...120))
                    let cut = first.frames.filter { ($0.revision ?? 0) % 2 != 0 }
                    #expect(cut.isEmpty)
                    try await second.client.until("the last visible change") { $0.contains { $0.contains(#""name":"K_2","value":"57""#) } }
                    let some = try Watcher.state(second.frames)
                    #expect(some == ["K_1": "56", "K_2": "57"])
                }
            }
        }
    }

    @Test func withoutRedisChangesComeByTheSweep() async throws {
        try await GatewayFixture.with { gateway in
            try await gateway.commit(.set("A", "1"))
            let watcher = try await gateway.watch()
            try await gateway.redis.stop()
            try await gateway.commit(.set("A", "2"), quietly: true)
            let values = try await watcher.values(at: 2, within: .seconds(10))
            #expect(values == ["A": "2"])
            let late = try await gateway.watch()
            #expect(late.frames.first?.revision == 2)
            try await gateway.redis.start()
            let publisher = gateway.publisher
            _ = try await eventually("the publisher") { publisher.isConnected ? true : nil }
            try await gateway.commit(.set("A", "3"))
            let again = try await watcher.values(at: 3)
            #expect(again == ["A": "3"])
        }
    }

    @Test func withoutPostgreSQLOpenWatchesStay() async throws {
        try await GatewayFixture.with { gateway in
            let staging = try await gateway.makeEnvironment("staging")
            try await gateway.commit(.set("A", "1"))
            let watcher = try await gateway.watch()
            gateway.source.setAway(true)
            // Redis still brings what is committed, and the feed that is loaded serves those who come.
            try await gateway.commit(.set("A", "2"))
            let values = try await watcher.values(at: 2)
            #expect(values == ["A": "2"])
            let late = try await gateway.watch()
            #expect(late.frames.first?.revision == 2)
            // Another environment would have to be read.
            let refused = try await gateway.connect("?environment=acme/web/staging")
            guard case .refused(503, _) = try await refused.end() else {
                Issue.record("an environment was served without PostgreSQL")
                return
            }
            late.client.send(#"{"type":"subscribe","id":1,"environment":"acme/web/staging"}"#)
            let error = try await late.client.message("error")
            #expect(error.contains(#""code":"unavailable""#))
            #expect(error.contains(#""id":1"#))
            let stranger = try await gateway.connect(token: "kv_ab12cd34_unknown")
            guard case .refused(503, _) = try await stranger.end() else {
                Issue.record("a token was judged without PostgreSQL")
                return
            }
            // A gap is read as soon as PostgreSQL is back.
            try await gateway.commit(.set("A", "3"), quietly: true)
            try await gateway.commit(.set("A", "4"))
            gateway.source.setAway(false)
            let whole = try await watcher.values(at: 4)
            #expect(whole == ["A": "4"])
            late.client.send(#"{"type":"subscribe","id":2,"environment":"acme/web/staging"}"#)
            try await late.client.until("staging") { $0.contains { $0.hasPrefix(#"{"type":"subscribed","id":2"#) } }
            #expect(staging.path.description == "acme/web/staging")
        }
    }

    @Test func manyClientsAtOnceCostOneRead() async throws {
        try await GatewayFixture.with(loops: 3) { gateway in
            for value in 1...50 { try await gateway.commit(.set("A", "\(value)"), quietly: true) }
            let tokens = [try await gateway.token().text, try await gateway.token([.read]).text]
            try await withThrowingTaskGroup(of: Int64?.self) { group in
                for number in 0..<300 {
                    group.addTask {
                        let since = number % 3 == 0 ? "" : "&since=\(number % 50)"
                        let watcher = try await gateway.watch(since, token: tokens[number % 2])
                        return watcher.frames.first?.revision
                    }
                }
                for try await revision in group { #expect(revision == 50) }
            }
            #expect(gateway.source.counts.loads == 1)
            #expect(gateway.source.counts.authentications == 2)
            #expect(gateway.source.counts.pages == 0)
        }
    }

    @Test func changesDuringTheStartOfAFeedAreNotLost() async throws {
        try await GatewayFixture.with { gateway in
            // Writers and watchers of twenty environments begin together: the moment between snapshot and feed is hit now and then.
            var environments: [EnvironmentRecord] = []
            for number in 0..<20 { environments.append(try await gateway.makeEnvironment("e\(number)")) }
            let all = environments
            try await withThrowingTaskGroup(of: Void.self) { group in
                for environment in all {
                    group.addTask {
                        for value in 1...10 { try await gateway.commit(.set("A", "\(value)"), to: environment) }
                    }
                    group.addTask {
                        let client = try await gateway.connect("?environment=\(environment.path)")
                        let values = try await Watcher(client).values(at: 10)
                        guard values == ["A": "10"] else { throw Watcher.Violation(description: "\(values)") }
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
