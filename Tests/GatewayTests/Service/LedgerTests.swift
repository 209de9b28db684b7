// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Notifier
import Store
import TestSupport
import Testing
import Wire

/// Real sockets, and what the ledger in Redis says of them.
@Suite struct LedgerTests {
    private static let path = "acme/web/production"

    private static func ack(_ watcher: Watcher, _ revision: Int64, failing message: String? = nil) {
        let status = message.map { #""failed","message":"\#($0)""# } ?? #""applied""#
        watcher.client.send(#"{"type":"ack","environment":"\#(path)","revision":\#(revision),"status":\#(status)}"#)
    }

    /// Failing with what the ledger said last.
    @discardableResult
    private static func counts(
        _ gateway: GatewayFixture,
        _ what: String,
        of environment: EnvironmentRecord? = nil,
        _ condition: @escaping @Sendable (WatcherCounts) -> Bool
    ) async throws -> WatcherCounts {
        let id = (environment ?? gateway.environment).id.lowercased
        return try await eventually(every: .milliseconds(5), "a ledger with \(what)") {
            let counts = try? await gateway.directory.watchers(of: id)
            return counts.flatMap { condition($0) ? $0 : nil }
        }
    }

    private static func steps(_ counts: WatcherCounts) -> String {
        counts.byRevision.map { "\($0.revision)x\($0.watchers)" }.joined(separator: " ")
    }

    /// Of all environments.
    private static func records(_ gateway: GatewayFixture) async throws -> Int {
        let keys = try await gateway.redis.command("KEYS", "keyvane:watchers:*").array ?? []
        let key = try #require(keys.count == 1 ? keys[0].string : nil)
        // One field is the gateway's own.
        return try Int(#require(try await gateway.redis.command("HLEN", key).integer)) - 1
    }

    @Test func countsWatchersAndWhatTheyApplied() async throws {
        try await GatewayFixture.with { gateway in
            try await gateway.commit(.set("A", "1"))
            var loud: [Watcher] = []
            // On both loops.
            for _ in 0..<4 { loud.append(try await gateway.watch("&acks=true")) }
            let silent = try await gateway.watch()
            try await Self.counts(gateway, "nothing acknowledged") {
                $0.total == 5 && $0.silent == 1 && Self.steps($0) == "0x4" && $0.gateways.map(\.name) == ["gateway-1"]
            }
            for watcher in loud { Self.ack(watcher, 1) }
            try await Self.counts(gateway, "the snapshot acknowledged") { Self.steps($0) == "1x4" }
            try await gateway.commit(.set("A", "2"))
            for watcher in loud + [silent] { try await watcher.values(at: 2) }
            let pending = try await Self.counts(gateway, "the change pending") { Self.steps($0) == "1x4" }
            #expect(pending.progress(of: 2).pending == 4)
            for watcher in loud.dropLast() { Self.ack(watcher, 2) }
            try await Self.counts(gateway, "all but one") { Self.steps($0) == "2x3 1x1" }
            Self.ack(loud[3], 2)
            try await Self.counts(gateway, "all") { $0.progress(of: 2).applied == 4 }
            // Nobody waits for what a silent watcher says.
            Self.ack(silent, 2)
            silent.client.send(#"{"type":"unsubscribe","environment":"\#(Self.path)"}"#)
            _ = try await silent.client.message("unsubscribed")
            #expect(!silent.client.messages.contains { $0.contains(#""type":"error""#) })
            try await Self.counts(gateway, "the loud ones") { $0.total == 4 && $0.silent == 0 }
        }
    }

    @Test func whatAWatcherCannotSeeIsApplied() async throws {
        try await GatewayFixture.with { gateway in
            let filtered = try await gateway.watch("&acks=true&names=FEATURE_*")
            let idle = try await gateway.watch("&acks=true&names=OTHER_*")
            Self.ack(filtered, 0)
            // The other one has not even acknowledged its snapshot.
            try await gateway.commit(.set("A", "1"))
            try await gateway.commit(.set("B", "1"))
            try await Self.counts(gateway, "two invisible changes") { Self.steps($0) == "2x1 0x1" }
            try await gateway.commit(.set("FEATURE_X", "1"))
            try await filtered.values(at: 3)
            Self.ack(idle, 0)
            try await Self.counts(gateway, "one applied unseen, one pending") { Self.steps($0) == "3x1 2x1" }
            Self.ack(filtered, 3)
            try await Self.counts(gateway, "everybody") { Self.steps($0) == "3x2" }
        }
    }

    @Test func keepsFailuresUntilALaterSuccess() async throws {
        try await GatewayFixture.with { gateway in
            let watcher = try await gateway.watch("&acks=true")
            let ready = try await watcher.client.message("ready")
            Self.ack(watcher, 0)
            try await gateway.commit(.set("A", "1"))
            try await watcher.values(at: 1)
            Self.ack(watcher, 1, failing: #"the \"port\"\n is taken \#(String(repeating: "x", count: 300))"#)
            let failed = try await Self.counts(gateway, "the failure") { $0.failures.count == 1 }
            let failure = try #require(failed.failures.first)
            #expect(ready.contains(#""connection":"\#(failure.connection)""#))
            #expect(failure.revision == 1)
            #expect(failure.message == #"the "port" is taken "# + String(repeating: "x", count: 180))
            #expect(failed.progress(of: 1).failed == 1)
            try await gateway.commit(.set("A", "2"))
            try await watcher.values(at: 2)
            let pending = try await Self.counts(gateway, "the next change pending") { $0.failures.count == 1 }
            #expect(pending.progress(of: 2).pending == 1)
            Self.ack(watcher, 2)
            try await Self.counts(gateway, "success") { $0.failures.isEmpty && Self.steps($0) == "2x1" }
        }
    }

    @Test func wrongAcknowledgementsAreAnswered() async throws {
        try await GatewayFixture.with { gateway in
            let watcher = try await gateway.watch("&acks=true")
            Self.ack(watcher, 7)
            let beyond = try await watcher.client.message("error")
            #expect(beyond.contains(#""code":"invalid""#))
            #expect(beyond.contains(#""environment":"acme/web/production""#))
            watcher.client.send(#"{"type":"ack","environment":"acme/web/staging","revision":0,"status":"applied"}"#)
            try await watcher.client.until("the second error") { $0.contains { $0.contains("not_subscribed") } }
            // The connection stands, and the right word is taken.
            Self.ack(watcher, 0)
            try await gateway.commit(.set("A", "1"))
            try await watcher.values(at: 1)
            Self.ack(watcher, 1)
            try await Self.counts(gateway, "the change applied") { Self.steps($0) == "1x1" }
            watcher.client.send(#"{"type":"ack","environment":"acme/web/production","revision":-1,"status":"applied"}"#)
            let end = try await watcher.client.end()
            #expect(end == .closed(4400, "'ack' has a 'revision'"))
        }
    }

    @Test func whoIsGoneIsNotCounted() async throws {
        try await GatewayFixture.with { gateway in
            let staging = try await gateway.makeEnvironment("staging")
            var watchers: [Watcher] = []
            for parameters in ["", "&acks=true", "&acks=true", "&acks=true"] { watchers.append(try await gateway.watch(parameters)) }
            watchers[1].client.send(#"{"type":"subscribe","environment":"acme/web/staging","acks":true}"#)
            try await Self.counts(gateway, "all") { $0.total == 4 }
            try await Self.counts(gateway, "staging", of: staging) { $0.acknowledging == 1 }
            watchers[0].client.close()
            try await Self.counts(gateway, "a closed one less") { $0.total == 3 && $0.silent == 0 }
            watchers[1].client.send(#"{"type":"unsubscribe","environment":"\#(Self.path)"}"#)
            try await Self.counts(gateway, "an unsubscribed one less") { $0.total == 2 }
            watchers[2].client.abort()
            try await Self.counts(gateway, "a lost one less") { $0.total == 1 }
            // The same one, otherwise.
            watchers[3].client.send(#"{"type":"subscribe","id":2,"environment":"\#(Self.path)"}"#)
            try await Self.counts(gateway, "a silent one") { $0.total == 1 && $0.silent == 1 }
            watchers[3].client.close()
            try await Self.counts(gateway, "nobody") { $0.total == 0 }
            try await Self.counts(gateway, "one elsewhere", of: staging) { $0.total == 1 }
            #expect(try await Self.records(gateway) == 1)
            watchers[1].client.abort()
            _ = try await eventually("no record") { try await Self.records(gateway) == 0 ? true : nil }
        }
    }

    @Test func aDrainEmptiesTheLedger() async throws {
        try await GatewayFixture.with(configure: { $0.drainRate = 100 }) { gateway in
            var watchers: [Watcher] = []
            for _ in 0..<50 { watchers.append(try await gateway.watch("&acks=true")) }
            try await Self.counts(gateway, "all") { $0.total == 50 }
            async let drained: Void = gateway.service.drain()
            // While it goes on, those who are still there are still counted.
            try await Self.counts(gateway, "some") { 0 < $0.total && $0.total < 50 }
            await drained
            try await Self.counts(gateway, "nobody") { $0.total == 0 }
            for watcher in watchers { watcher.client.abort() }
        }
    }

    @Test func aRevokedTokensWatchersAreGone() async throws {
        try await GatewayFixture.with { gateway in
            let token = try await gateway.token()
            _ = try await gateway.watch("&acks=true", token: token.text)
            _ = try await gateway.watch()
            try await Self.counts(gateway, "both") { $0.total == 2 && $0.acknowledging == 1 }
            try await gateway.publisher.publish(.tokenRevoked(tokenID: token.record.id))
            try await Self.counts(gateway, "the other") { $0.total == 1 && $0.acknowledging == 0 }
        }
    }

    @Test func isWholeAgainAfterRedisCameBack() async throws {
        try await GatewayFixture.with { gateway in
            let watchers = [try await gateway.watch("&acks=true"), try await gateway.watch()]
            Self.ack(watchers[0], 0)
            try await Self.counts(gateway, "both") { $0.total == 2 }
            await gateway.redis.kill()
            try await gateway.commit(.set("A", "1"), quietly: true)
            // The sweep finds it, and the acknowledgement is remembered.
            try await watchers[0].values(at: 1)
            Self.ack(watchers[0], 1)
            try await gateway.redis.start()
            try await Self.counts(gateway, "what happened meanwhile") { $0.total == 2 && Self.steps($0) == "1x1" }
        }
    }

    @Test func aSlowWatcherIsPendingUntilItHasTakenTheNewest() async throws {
        try await GatewayFixture.with(loops: 1) { gateway in
            let slow = try await gateway.watch("&acks=true")
            Self.ack(slow, 0)
            try await Self.counts(gateway, "the snapshot") { Self.steps($0) == "0x1" }
            slow.client.pauseReading()
            let big = String(repeating: "v", count: 60_000)
            // Far more than the kernel takes for it: it is dropped from the log.
            for round in 1...150 { try await gateway.commit(.set("K", "\(round) \(big)")) }
            let behind = try await Self.counts(gateway, "the slow one") { $0.total == 1 }
            #expect(behind.progress(of: 150).pending == 1)
            slow.client.resumeReading()
            try await slow.client.until("the newest state") { $0.contains { $0.contains("\"revision\":150,\"cursor\"") } }
            let still = try await Self.counts(gateway, "the slow one") { $0.total == 1 }
            #expect(still.progress(of: 150).pending == 1)
            Self.ack(slow, 150)
            try await Self.counts(gateway, "the newest") { Self.steps($0) == "150x1" }
        }
    }

    @Test func aDeletedEnvironmentHasNoWatchers() async throws {
        try await GatewayFixture.with { gateway in
            let watcher = try await gateway.watch("&acks=true")
            try await Self.counts(gateway, "the watcher") { $0.total == 1 }
            try await gateway.database.sql("DELETE FROM keyvane.environment WHERE id = '\(gateway.environment.id.uuidString)'")
            try await gateway.publisher.publish(.environmentDeleted(environmentID: gateway.environment.id.lowercased))
            let end = try await watcher.client.end()
            #expect(end == .closed(4404, "the environment was deleted"))
            try await Self.counts(gateway, "nobody") { $0.total == 0 }
        }
    }
}
