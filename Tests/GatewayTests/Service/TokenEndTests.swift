// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Notifier
import Store
import TestSupport
import Testing

/// A token that is revoked, expires or changes reaches its sockets.
@Suite struct TokenEndTests {
    @Test func revocationByMessage() async throws {
        try await GatewayFixture.with { gateway in
            let token = try await gateway.token()
            let watchers = [try await gateway.watch(token: token.text), try await gateway.watch(token: token.text)]
            let other = try await gateway.watch()
            try await gateway.store.revokeToken(token.record.id, by: "root")
            try await gateway.publisher.publish(.tokenRevoked(tokenID: token.record.id))
            for watcher in watchers {
                let end = try await watcher.client.end(within: .seconds(10))
                #expect(end == .closed(4401, "the token is revoked"))
                #expect(watcher.client.messages.last == #"{"type":"closing","reason":"revoked"}"#)
            }
            // Not from the cache either.
            let again = try await gateway.connect(token: token.text)
            guard case .refused(401, _) = try await again.end() else {
                Issue.record("a revoked token was let in")
                return
            }
            try await gateway.commit(.set("A", "1"))
            try await other.values(at: 1)
        }
    }

    @Test func revocationThatNoMessageTold() async throws {
        try await GatewayFixture.with(configure: { $0.sweepInterval = .milliseconds(500) }) { gateway in
            let token = try await gateway.token()
            let watcher = try await gateway.watch(token: token.text)
            try await gateway.store.revokeToken(token.record.id, by: "root")
            let end = try await watcher.client.end(within: .seconds(10))
            #expect(end == .closed(4401, "the token is revoked"))
        }
    }

    /// Anybody can publish on the channel; that alone ends nothing.
    @Test func forgedRevocationsAreLookedUp() async throws {
        try await GatewayFixture.with { gateway in
            let token = try await gateway.token()
            let watcher = try await gateway.watch(token: token.text)
            let before = gateway.source.counts
            let forged = #"{"type":"token-revoked","tokenId":"\#(token.record.id)"}"#
            _ = try await gateway.redis.command("PUBLISH", "change-notifier:control", forged)
            let looked = try await eventually("a look at the log") { gateway.source.counts.tokenEvents > before.tokenEvents ? true : nil }
            #expect(looked)
            #expect(gateway.source.counts.tokens == before.tokens)
            try await gateway.commit(.set("A", "1"))
            try await watcher.values(at: 1)
        }
    }

    @Test func expiry() async throws {
        try await GatewayFixture.with(configure: { $0.heartbeat = .seconds(4) }) { gateway in
            let token = try await gateway.token(expiresAt: Date(timeIntervalSinceNow: 3))
            let watcher = try await gateway.watch(token: token.text)
            let end = try await watcher.client.end()
            #expect(end == .closed(4401, "the token is expired"))
            #expect(watcher.client.messages.last == #"{"type":"closing","reason":"expired"}"#)
        }
    }

    @Test func changedGrants() async throws {
        try await GatewayFixture.with(configure: { $0.sweepInterval = .milliseconds(500) }) { gateway in
            try await gateway.commit(.set("A", "1"), .secret("S", "hush"))
            let token = try await gateway.token([.read])
            let watcher = try await gateway.watch(token: token.text)
            #expect(watcher.frames.first?.entries?.map(\.name) == ["A"])
            func grant(_ permissions: String, workspace: String = "acme") async throws {
                let grants = #"[{"workspace":"\#(workspace)","permissions":[\#(permissions)]}]"#
                try await gateway.database.sql("UPDATE keyvane.token SET grants = '\(grants)' WHERE id = '\(token.record.id)'")
            }
            try await grant(#""read","read_secrets""#)
            try await watcher.client.until("the secret") { $0.contains { $0.contains("hush") } }
            try await gateway.commit(.set("A", "2"))
            let values = try await watcher.values(at: 3)
            #expect(values == ["A": "2", "S": "hush"])
            try await grant(#""read""#, workspace: "other")
            guard case .closed(4403, _) = try await watcher.client.end() else {
                Issue.record("a watcher without a grant went on")
                return
            }
        }
    }
}
