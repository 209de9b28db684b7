// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient
import TestSupport
import Testing

extension ClusterSuite {
    /// Redis is a doorbell: what travels on it can be lost, doubled, swapped or forged, and watchers still see the truth.
    @Suite struct HostileRedisTests {
        @Test func lostDoubledAndSwappedMessagesChangeNothing() async throws {
            try await withRedis { redis in
                try await withRedisProxy(to: redis.port) { proxy in
                    try await withCluster(["--redis", proxy.url]) { cluster in
                        _ = try await cluster.createEnvironment()
                        let watchers = try cluster.watchers()
                        try await withWatchers(watchers) {
                            proxy.onMessage { message in
                                switch message.index % 7 {
                                case 1: .drop
                                case 3: .duplicate
                                case 5: .swapWithNext
                                default: .forward
                                }
                            }
                            for number in 1...200 { try await cluster.put("A", "\(number)") }
                            for watcher in watchers { try await watcher.reached(200, within: .seconds(30)) }
                            for watcher in watchers { #expect(watcher.revisions == Array(1...200)) }
                        }
                    }
                }
            }
        }

        @Test func messagesPublishedByOthersAreNeverTakenForChanges() async throws {
            try await withCluster { cluster in
                let id = try await cluster.createEnvironment()
                let watchers = try cluster.watchers()
                let tap = try RedisTap(cluster.state.redis.url)
                tap.subscribe()
                try await withWatchers(watchers) {
                    try await cluster.put("A", "true value")
                    let genuine = try await tap.messages.first("the genuine message")
                    let forged = [
                        // As somebody would publish it by hand, from the article.
                        "{\"environmentId\":\"\(id)\",\"name\":\"A\",\"value\":\"forged\",\"isSecret\":false}",
                        // A replay, and the same with another value under the old signature.
                        genuine,
                        genuine.replacing("true value", with: "forged"),
                        genuine.replacing("\"revision\":1", with: "\"revision\":2").replacing("\"last\":1", with: "\"last\":2"),
                        "{\"environmentId\":\"\(id)\",\"name\":\"A\",\"value\":\"forged\",\"isSecret\":false,\"op\":\"set\",\"revision\":2,"
                            + "\"version\":2,\"first\":2,\"last\":2,\"mark\":\"00000000\",\"at\":\"2026-01-01T00:00:00.000Z\",\"by\":\"x\",\"mac\":\"AAAA\"}",
                        "", "not JSON", "{", "[]", "null", "{\"environmentId\":5}", String(repeating: "[", count: 100_000),
                        "{\"environmentId\":\"\(UUID().uuidString.lowercased())\",\"name\":\"A\",\"value\":\"v\",\"isSecret\":false}",
                    ]
                    for message in forged { try tap.publish(message) }
                    try await cluster.put("A", "next")
                    for watcher in watchers {
                        try await watcher.reached(2)
                        #expect(watcher.revisions == [1, 2])
                        let values = watcher.events.all.compactMap { event -> String? in
                            if case .change(let change, _, _, _) = event { change.value } else { nil }
                        }
                        #expect(values == ["true value", "next"])
                    }
                }
            }
        }
    }
}
