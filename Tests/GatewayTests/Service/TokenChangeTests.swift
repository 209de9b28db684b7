// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Notifier
import Store
import TestSupport
import Testing

/// Changed tokens and connect tokens, and what subscriptions leave behind.
@Suite struct TokenChangeTests {
    /// No sweep comes in time: only what was announced counts.
    private static let slow: @Sendable (inout GatewayConfiguration) -> Void = { $0.sweepInterval = .seconds(3600) }

    @Test func anAnnouncedChangeReachesSocketsAndTheCache() async throws {
        try await GatewayFixture.with(configure: Self.slow) { gateway in
            try await gateway.commit(.set("A", "1"), .secret("S", "hush"))
            let token = try await gateway.token([.read])
            let watcher = try await gateway.watch(token: token.text)
            let more = [Grant(workspace: "acme", permissions: [.read, .readSecrets])]
            let root = MutationOrigin(actor: "root")
            let wider = try #require(try await gateway.store.changeToken(token.record, TokenChange(grants: more), root))
            try await gateway.publisher.publish(.tokenChanged(tokenID: token.record.id))
            try await watcher.client.until("the secret") { $0.contains { $0.contains("hush") } }
            let other = [Grant(workspace: "other", permissions: [.read])]
            _ = try await gateway.store.changeToken(wider, TokenChange(grants: other), root)
            try await gateway.publisher.publish(.tokenChanged(tokenID: token.record.id))
            guard case .closed(4403, _) = try await watcher.client.end() else {
                Issue.record("a watcher without a grant went on")
                return
            }
            // Nothing remembered lets it in either.
            let again = try await gateway.connect("?environment=acme/web/production", token: token.text)
            guard case .refused(404, _) = try await again.end() else {
                Issue.record("old grants let somebody in")
                return
            }
        }
    }

    /// Regression: every watcher of the token was sent its whole configuration again.
    @Test func anotherExpiryIsNoReasonToBeginAnew() async throws {
        try await GatewayFixture.with(configure: Self.slow) { gateway in
            let token = try await gateway.token()
            let watcher = try await gateway.watch(token: token.text)
            let root = MutationOrigin(actor: "root")
            let later = TokenChange(expiry: .at(Date(timeIntervalSinceNow: 3600)))
            let changed = try #require(try await gateway.store.changeToken(token.record, later, root))
            try await gateway.publisher.publish(.tokenChanged(tokenID: token.record.id))
            let soon = TokenChange(expiry: .at(Date(timeIntervalSinceNow: 2)))
            _ = try #require(try await gateway.store.changeToken(changed, soon, root))
            try await gateway.publisher.publish(.tokenChanged(tokenID: token.record.id))
            // It is of effect all the same.
            guard case .closed(4401, _) = try await watcher.client.end() else {
                Issue.record("the new expiry was not heard of")
                return
            }
            #expect(watcher.frames.filter { $0.type == "snapshot" }.count == 1)
        }
    }

    @Test func aRevocationEndsTheConnectTokensToo() async throws {
        try await GatewayFixture.with(configure: Self.slow) { gateway in
            try await gateway.commit(.set("A", "1"), .set("B", "2"))
            let token = try await gateway.token()
            let narrow = [Grant(workspace: "acme", project: "web", names: ["A"], permissions: [.read])]
            let child = try await gateway.store.connectToken(of: token.record, grants: narrow, lifetime: .seconds(600)).text
            let heir = try await gateway.store.connectToken(of: token.record, grants: nil, lifetime: .seconds(600)).text
            let (own, part, all) = (
                try await gateway.watch(token: token.text), try await gateway.watch(token: child), try await gateway.watch(token: heir)
            )
            #expect(part.frames.first?.entries?.map(\.name) == ["A"])
            #expect(all.frames.first?.entries?.map(\.name) == ["A", "B"])
            // A change of the parent is none of a child that has its own, narrower grants.
            let root = MutationOrigin(actor: "root")
            let same = [Grant(workspace: "acme", project: "web", permissions: [.read])]
            _ = try await gateway.store.changeToken(token.record, TokenChange(grants: same), root)
            try await gateway.publisher.publish(.tokenChanged(tokenID: token.record.id))
            try await own.client.until("a new snapshot") { $0.filter { $0.contains(#""snapshot""#) }.count == 2 }
            try await gateway.commit(.set("A", "3"), .set("B", "4"))
            let values = try await part.values(at: 4)
            #expect(values == ["A": "3"])
            try await gateway.store.revokeToken(token.record.id, by: "root")
            try await gateway.publisher.publish(.tokenRevoked(tokenID: token.record.id))
            for watcher in [own, part, all] {
                let end = try await watcher.client.end(within: .seconds(10))
                #expect(end == .closed(4401, "the token is revoked"))
            }
        }
    }

    @Test func aConnectTokenEndsByItself() async throws {
        try await GatewayFixture.with(configure: { $0.heartbeat = .seconds(4) }) { gateway in
            let token = try await gateway.token()
            let child = try await gateway.store.connectToken(of: token.record, grants: nil, lifetime: .seconds(4)).text
            // As browsers bring it.
            let watcher = try await gateway.connect("?environment=acme/web/production&access_token=\(child)", token: nil)
            _ = try await watcher.message("snapshot")
            let end = try await watcher.end()
            #expect(end == .closed(4401, "the token is expired"))
        }
    }

    @Test func whoWatchesSecretsIsInTheAudit() async throws {
        try await GatewayFixture.with { gateway in
            let (reader, plain) = (try await gateway.token(), try await gateway.token([.read]))
            let watcher = try await gateway.watch(token: reader.text)
            _ = try await gateway.watch(token: plain.text)
            try await gateway.commit(.set("A", "1"))
            try await watcher.values(at: 1)
            let sql = "SELECT actor, place, target FROM keyvane.audit WHERE action = 'watch.subscribe'"
            let rows = try await eventually("a row") {
                let rows = try await gateway.database.sql(sql)
                return rows.isEmpty ? nil : rows
            }
            #expect(rows == ["token:\(reader.record.id)|acme/web/production|production"])
        }
    }

    @Test func secretsThatComeWithOtherGrantsAreInTheAuditToo() async throws {
        try await GatewayFixture.with(configure: Self.slow) { gateway in
            try await gateway.commit(.set("A", "1"), .secret("S", "hush"))
            let token = try await gateway.token([.read])
            let watcher = try await gateway.watch(token: token.text)
            let sql = "SELECT count(*) FROM keyvane.audit WHERE action = 'watch.subscribe' AND actor = 'token:\(token.record.id)'"
            let root = MutationOrigin(actor: "root")
            var record = token.record
            // Wider, the same, narrower, wider: secrets came twice.
            for (round, permissions) in [[Permission.read, .readSecrets], [.read, .readSecrets, .write], [.read], [.read, .readSecrets]]
                .enumerated()
            {
                let grants = [Grant(workspace: "acme", permissions: Set(permissions))]
                record = try #require(try await gateway.store.changeToken(record, TokenChange(grants: grants), root))
                try await gateway.publisher.publish(.tokenChanged(tokenID: record.id))
                try await watcher.client.until("a new snapshot") { $0.filter { $0.contains(#""snapshot""#) }.count == round + 2 }
            }
            _ = try await eventually("two rows") { try await gateway.database.sql(sql) == ["2"] ? true : nil }
        }
    }
}
