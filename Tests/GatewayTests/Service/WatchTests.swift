// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Notifier
import Store
import TestSupport
import Testing

/// One watcher, everything as `watch.md` says, against a real PostgreSQL and a real Redis.
@Suite struct WatchTests {
    @Test func snapshotThenChanges() async throws {
        try await GatewayFixture.with { gateway in
            try await gateway.commit(.set("B", "1"), .set("A", "1"))
            try await gateway.commit(.secret("S", "hush \"quoted\""))
            let client = try await gateway.connect("?environment=acme/web/production", subprotocols: ["other", "keyvane.v1"])
            let snapshot = try await client.message("snapshot")
            #expect(client.events.all.first == .opened(subprotocol: "keyvane.v1"))
            #expect(client.messages[0].hasPrefix(#"{"type":"ready","connection":"c-"#))
            #expect(client.messages[0].hasSuffix(#","gateway":"gateway-1","heartbeatMs":20000}"#))
            let id = gateway.environment.id.uuidString.lowercased()
            #expect(client.messages[1] == #"{"type":"subscribed","environment":"acme/web/production","environmentId":"\#(id)"}"#)
            let frame = try #require(Watcher.frames([snapshot]).first)
            #expect(frame.revision == 3)
            #expect(frame.entries?.map(\.name) == ["A", "B", "S"])
            #expect(frame.entries?.last?.value == "hush \"quoted\"")
            #expect(frame.entries?.last?.isSecret == true)
            try await gateway.commit(.set("A", "2"), .delete("B"))
            let watcher = Watcher(client)
            let values = try await watcher.values(at: 5)
            #expect(values == ["A": "2", "S": "hush \"quoted\""])
            #expect(watcher.frames.last?.changes?.map(\.revision) == [4, 5])
            client.close()
            let end = try await client.end()
            #expect(end == .closed(1000, ""))
        }
    }

    @Test func resumesByRevisionAndCursor() async throws {
        try await GatewayFixture.with { gateway in
            for value in 1...5 { try await gateway.commit(.set("A", "\(value)")) }
            let first = try await gateway.watch("&since=2")
            #expect(first.frames.first?.type == "changes")
            #expect(first.frames.first?.previousRevision == 2)
            #expect(first.frames.first?.changes?.map(\.revision) == [3, 4, 5])
            let cursor = try #require(first.frames.first?.cursor)
            // The head: nothing is missing, and that is said.
            let second = try await gateway.watch("&since=\(cursor)")
            #expect(second.frames.first?.previousRevision == 5)
            #expect(second.frames.first?.revision == 5)
            #expect(second.frames.first?.changes == [])
            // Another history, and one that is ahead.
            let other = cursor.dropLast(8) + "00000000"
            for since in [String(other), "99"] {
                let third = try await gateway.watch("&since=\(since)")
                #expect(third.frames.first?.type == "snapshot")
                #expect(third.frames.first?.revision == 5)
            }
            try await gateway.commit(.set("A", "6"))
            for (watcher, start) in [(first, Int64(2)), (second, 5)] {
                let values = try await watcher.values(at: 6, since: start)
                #expect(values == ["A": "6"])
            }
            for watcher in [first, second] { watcher.client.close() }
        }
    }

    @Test func subscribesToManyByMessage() async throws {
        try await GatewayFixture.with { gateway in
            let staging = try await gateway.makeEnvironment("staging")
            try await gateway.commit(.set("A", "1"))
            try await gateway.commit(.set("Z", "1"), to: staging)
            let client = try await gateway.connect()
            client.send(#"{"type":"subscribe","id":1,"environment":"acme/web/production"}"#)
            client.send(#"{"type":"subscribe","id":"two","environment":"acme/web/staging","since":0}"#)
            client.send(#"{"type":"subscribe","id":3,"environment":"acme/web/nowhere"}"#)
            let messages = try await client.until("three answers") { messages in
                messages.count { $0.contains("\"cursor\"") || $0.contains("\"error\"") } == 3
            }
            // Two feeds that were loaded beside each other answer in any order.
            let subscribed = messages.filter { $0.hasPrefix(#"{"type":"subscribed""#) }.sorted(by: >)
            #expect(subscribed.count == 2)
            #expect(subscribed.first?.hasPrefix(#"{"type":"subscribed","id":1,"environment":"acme/web/production""#) == true)
            #expect(subscribed.last?.hasPrefix(#"{"type":"subscribed","id":"two","environment":"acme/web/staging""#) == true)
            let refusal =
                #"{"type":"error","code":"environment_not_found","message":"There is no environment acme/web/nowhere that this token may know of.","id":3,"environment":"acme/web/nowhere"}"#
            #expect(messages.contains(refusal))
            try await gateway.commit(.set("Z", "2"), to: staging)
            try await client.until("the change") {
                $0.contains { $0.contains(#""environment":"acme/web/staging""#) && $0.contains(#""value":"2""#) }
            }
            client.send(#"{"type":"unsubscribe","id":4,"environment":"acme/web/staging"}"#)
            let farewell = try await client.message("unsubscribed")
            #expect(farewell == #"{"type":"unsubscribed","environment":"acme/web/staging"}"#)
            client.send(#"{"type":"ack","environment":"acme/web/production","revision":1,"status":"applied"}"#)
            client.send(#"{"type":"ack","environment":"acme/web/staging","revision":1,"status":"applied"}"#)
            try await client.until("the refusal") { $0.contains { $0.contains("not_subscribed") } }
            client.close()
        }
    }

    @Test func showsWhatTheTokenAndTheFilterLetThrough() async throws {
        try await GatewayFixture.with { gateway in
            try await gateway.commit(.set("FEATURE_A", "1"), .set("OTHER", "1"), .secret("FEATURE_S", "hush"))
            let reader = try await gateway.token([.read])
            let plain = try await gateway.watch(token: reader.text)
            let filtered = try await gateway.watch("&names=FEATURE_*,X?")
            #expect(plain.frames.first?.entries?.map(\.name) == ["FEATURE_A", "OTHER"])
            #expect(filtered.frames.first?.entries?.map(\.name) == ["FEATURE_A", "FEATURE_S"])
            // Invisible to one or the other: no frame, and the chain of each stays whole.
            try await gateway.commit(.secret("FEATURE_S", "hush 2"))
            try await gateway.commit(.set("OTHER", "2"))
            let late = try await gateway.watch("&names=FEATURE_*,X?")
            #expect(late.frames.first?.revision == 5)
            try await gateway.commit(.set("FEATURE_A", "2"), .set("OTHER", "3"))
            let seen = try await plain.values(at: 7)
            #expect(seen == ["FEATURE_A": "2", "OTHER": "3"])
            #expect(plain.frames.map(\.revision) == [3, 5, 7])
            let some = try await filtered.values(at: 7)
            #expect(some == ["FEATURE_A": "2", "FEATURE_S": "hush 2"])
            #expect(filtered.frames.map(\.revision) == [3, 4, 7])
            let more = try await late.values(at: 7)
            #expect(more == ["FEATURE_A": "2", "FEATURE_S": "hush 2"])
            #expect(late.frames.map(\.previousRevision) == [nil, 5])
            let everything = [plain, filtered, late].flatMap(\.client.messages).joined()
            #expect(!everything.contains("sealed:v1"))
            #expect(!plain.client.messages.joined().contains("hush"))
        }
    }

    @Test func heartbeatsTellTheHeads() async throws {
        try await GatewayFixture.with(configure: { $0.heartbeat = .milliseconds(400) }) { gateway in
            try await gateway.commit(.set("A", "1"))
            let watcher = try await gateway.watch("&names=A")
            let changes = try await gateway.commit(.set("B", "1"))
            let cursor = changes[0].cursor.description
            let expected = #"{"type":"heartbeat","heads":{"acme/web/production":"\#(cursor)"}}"#
            try await watcher.client.until("a heartbeat at the head") { $0.contains(expected) }
            try await watcher.client.events.until("a ping") { $0.contains(.ping) }
            // It is the client's cursor from now on, although no frame led there.
            let back = try await gateway.watch("&names=A&since=\(cursor)")
            #expect(back.frames.first?.previousRevision == 2)
            try await gateway.commit(.set("A", "2"))
            let values = try await back.values(at: 3, since: 2)
            #expect(values == ["A": "2"])
            let earlier = try await watcher.values(at: 3)
            #expect(earlier == ["A": "2"])
        }
    }

    @Test func aLongWayBackIsReadFromPostgreSQL() async throws {
        try await GatewayFixture.with { gateway in
            for round in 0..<13 {
                _ = try await gateway.store.mutate(
                    Mutation(
                        environmentID: gateway.environment.id,
                        changes: (0..<100).map { EntryChange(name: "K\($0)", op: .set("\(round)"), kind: .variable) },
                        actor: "root"
                    )
                )
            }
            let watcher = try await gateway.watch("&since=50")
            let values = try await watcher.values(at: 1_300, since: 50)
            #expect(values.count == 100)
            #expect(Set(values.values) == ["12"])
            #expect(Set(watcher.frames.map(\.type)) == ["changes"])
            let count = watcher.frames.reduce(0) { $0 + ($1.changes?.count ?? 0) }
            #expect(count == 1_250)
            #expect(gateway.source.counts.pages >= 1)
            try await gateway.commit(.set("LAST", "1"))
            try await watcher.values(at: 1_301, since: 50)
        }
    }

    @Test func subscribingAgainReplacesTheFilter() async throws {
        try await GatewayFixture.with { gateway in
            try await gateway.commit(.set("A", "1"), .set("B", "1"))
            let client = try await gateway.connect("?environment=acme/web/production&names=A")
            _ = try await client.message("snapshot")
            client.send(#"{"type":"subscribe","id":2,"environment":"acme/web/production","names":["B"],"since":2}"#)
            try await client.until("the second subscription") { $0.contains { $0.hasPrefix(#"{"type":"changes""#) } }
            try await gateway.commit(.set("A", "2"))
            try await gateway.commit(.set("B", "2"))
            let messages = try await client.until("the change of B") { $0.contains { $0.contains("\"value\":\"2\"") } }
            #expect(!messages.joined().contains(#""name":"A","value":"2""#))
        }
    }

    @Test func deletingTheEnvironmentEndsItsWatches() async throws {
        try await GatewayFixture.with { gateway in
            let staging = try await gateway.makeEnvironment("staging")
            let only = try await gateway.watch()
            let both = try await gateway.connect("?environment=acme/web/production&environment=acme/web/staging")
            try await both.until("two snapshots") { $0.count { $0.hasPrefix(#"{"type":"snapshot""#) } == 2 }
            try await gateway.database.sql("DELETE FROM keyvane.environment WHERE id = '\(gateway.environment.id.uuidString)'")
            try await gateway.publisher.publish(.environmentDeleted(environmentID: gateway.environment.id.uuidString.lowercased()))
            let end = try await only.client.end()
            #expect(end == .closed(4404, "the environment was deleted"))
            #expect(only.client.messages.last == #"{"type":"closing","reason":"deleted"}"#)
            let closing = try await both.message("closing")
            #expect(closing == #"{"type":"closing","reason":"deleted","environment":"acme/web/production"}"#)
            try await gateway.commit(.set("Z", "1"), to: staging)
            try await both.until("the other environment") { $0.contains { $0.contains(#""name":"Z""#) } }
        }
    }

    @Test func aRestoredDatabaseGivesEveryoneASnapshot() async throws {
        try await GatewayFixture.with(configure: { $0.sweepInterval = .milliseconds(500) }) { gateway in
            for value in 1...5 { try await gateway.commit(.set("A", "\(value)")) }
            let watcher = try await gateway.watch()
            let id = gateway.environment.id.uuidString
            try await gateway.database.sql(
                """
                DELETE FROM keyvane.change WHERE environment_id = '\(id)' AND revision > 3;
                DELETE FROM keyvane.outbox WHERE environment_id = '\(id)';
                UPDATE keyvane.entry SET value = '3', version = 3, revision = 3 WHERE environment_id = '\(id)';
                UPDATE keyvane.environment SET revision = 3,
                    mark = (SELECT mark FROM keyvane.change WHERE environment_id = '\(id)' AND revision = 3) WHERE id = '\(id)'
                """
            )
            try await watcher.client.until("the second snapshot") { $0.count { $0.hasPrefix(#"{"type":"snapshot""#) } == 2 }
            #expect(watcher.frames.last?.revision == 3)
            try await gateway.commit(.set("A", "other"))
            let values = try await watcher.values(at: 4)
            #expect(values == ["A": "other"])
        }
    }
}
