// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Notifier
import Store
import TestSupport
import Testing

/// The log of tokens tells what no message told. None is published here unless the test says so.
@Suite struct TokenLogTests {
    private static let root = MutationOrigin(actor: "root")
    private static let revoked = WebSocketClientConnection.End.closed(4401, "the token is revoked")

    /// Where nobody needs a sweep it must not help either.
    private static func withoutSweeps(_ configuration: inout GatewayConfiguration) {
        configuration.sweepInterval = .seconds(3_600)
        configuration.sweepIntervalWithoutRedis = .seconds(3_600)
    }

    private static func withQuickSweeps(_ configuration: inout GatewayConfiguration) {
        configuration.sweepInterval = .milliseconds(500)
    }

    private static func sweeps(_ count: Int, of gateway: GatewayFixture) async throws {
        let before = gateway.source.counts.tokenEvents
        _ = try await eventually("sweeps") { gateway.source.counts.tokenEvents >= before + count ? true : nil }
    }

    @Test func oneReadASweepForAThousandTokens() async throws {
        try await GatewayFixture.with(configure: Self.withQuickSweeps) { gateway in
            var tokens: [(record: TokenRecord, text: String)] = []
            for _ in 0..<1_000 { tokens.append(try await gateway.token([.read])) }
            var clients: [WebSocketClient] = []
            for token in tokens { clients.append(try await gateway.connect(token: token.text)) }
            for client in clients { _ = try await client.message("ready") }
            // The first look at the log may have come after the first clients.
            try await Self.sweeps(2, of: gateway)
            let (before, start) = (gateway.source.counts, ContinuousClock.now)
            try await Self.sweeps(4, of: gateway)
            try await gateway.store.revokeToken(tokens[500].record.id, Self.root)
            #expect(try await clients[500].end() == Self.revoked)
            let (after, time) = (gateway.source.counts, start.duration(to: .now))
            #expect(after.tokens == before.tokens)
            #expect(after.tokenEvents - before.tokenEvents <= Int(time / .milliseconds(500)) + 2)
            _ = try await eventually("the others alone") { gateway.service.connections == 999 ? true : nil }
        }
    }

    @Test func nothingIsAskedForNobody() async throws {
        try await GatewayFixture.with(configure: { $0.sweepIntervalWithoutRedis = .milliseconds(20) }) { gateway in
            _ = try await eventually("the end of the log") { gateway.source.counts.tokenEvents > 0 ? true : nil }
            try await gateway.redis.stop()
            // Attempts from before PostgreSQL was there are over by now.
            let (before, end) = (gateway.source.counts, ContinuousClock.now + .seconds(1))
            _ = try await eventually("fifty beats") { ContinuousClock.now > end ? true : nil }
            #expect(gateway.source.counts.tokenEvents <= before.tokenEvents + 1)
            #expect(gateway.source.counts.tokens == 0)
        }
    }

    @Test func aNumberThatIsNotTheNextOneTellsOfALostMessage() async throws {
        try await GatewayFixture.with(configure: Self.withoutSweeps) { gateway in
            let (first, second) = (try await gateway.token(), try await gateway.token())
            let watchers = [try await gateway.watch(token: first.text), try await gateway.watch(token: second.text)]
            try await gateway.store.revokeToken(first.record.id, Self.root)
            let number = try await gateway.store.revokeToken(second.record.id, Self.root)
            try await gateway.publisher.publish(.tokenRevoked(tokenID: second.record.id, sequence: number))
            for watcher in watchers { #expect(try await watcher.client.end() == Self.revoked) }
        }
    }

    @Test func messagesInTheWrongOrder() async throws {
        try await GatewayFixture.with(configure: Self.withoutSweeps) { gateway in
            var token = try await gateway.token([.read])
            let other = try await gateway.token()
            try await gateway.commit(.set("A", "1"), .secret("S", "hush"))
            let watcher = try await gateway.watch(token: token.text)
            let ended = try await gateway.watch(token: other.text)
            let more = [Grant(workspace: "acme", project: "web", permissions: [.read, .readSecrets])]
            token.record = try #require(try await gateway.store.changeToken(token.record, TokenChange(grants: more), Self.root))
            let number = try await gateway.store.revokeToken(other.record.id, Self.root)
            try await gateway.publisher.publish(.tokenRevoked(tokenID: other.record.id, sequence: number))
            try await gateway.publisher.publish(.tokenChanged(tokenID: token.record.id, sequence: token.record.event))
            #expect(try await ended.client.end() == Self.revoked)
            try await watcher.client.until("the secret") { $0.contains { $0.contains("hush") } }
            // Twice changes nothing.
            try await gateway.publisher.publish(.tokenRevoked(tokenID: other.record.id, sequence: number))
            try await gateway.publisher.publish(.tokenChanged(tokenID: token.record.id, sequence: token.record.event))
            try await gateway.commit(.set("A", "2"))
            try await watcher.values(at: 3)
            #expect(watcher.frames.filter { $0.type == "snapshot" }.count == 2)
        }
    }

    @Test func redisComesBack() async throws {
        try await GatewayFixture.with(configure: Self.withoutSweeps) { gateway in
            let token = try await gateway.token()
            let watcher = try await gateway.watch(token: token.text)
            await gateway.redis.kill()
            try await gateway.store.revokeToken(token.record.id, Self.root)
            try await gateway.redis.start()
            #expect(try await watcher.client.end() == Self.revoked)
        }
    }

    /// The log was trimmed past the gateway's place, or the database was restored from a copy: tokens are then looked up one by one.
    @Test(arguments: [
        // Older than everything that is left.
        """
        UPDATE keyvane.token_log SET last = last + 2;
        INSERT INTO keyvane.token_event SELECT last, 1, 'zzzzzzzz', 'revoked', now() FROM keyvane.token_log;
        DELETE FROM keyvane.token_event WHERE sequence < (SELECT last FROM keyvane.token_log);
        """,
        // Further back than the gateway has seen.
        "DELETE FROM keyvane.token_event WHERE sequence > 0; UPDATE keyvane.token_log SET last = 0;",
        // As far again, with another event.
        "UPDATE keyvane.token_event SET mark = mark + 1 WHERE sequence > 0;",
    ])
    func whatTheLogCannotTell(damage: String) async throws {
        try await GatewayFixture.with(configure: Self.withQuickSweeps) { gateway in
            let (first, second) = (try await gateway.token(), try await gateway.token())
            try await gateway.store.revokeToken(try await gateway.token().record.id, Self.root)
            let ended = try await gateway.watch(token: first.text)
            let watcher = try await gateway.watch(token: second.text)
            try await Self.sweeps(3, of: gateway)
            // In the restored database the first token isn't good any more, and no event of it is there.
            try await gateway.database.sql(
                """
                BEGIN;
                ALTER TABLE keyvane.token DISABLE TRIGGER USER;
                UPDATE keyvane.token SET revoked_at = now() WHERE id = '\(first.record.id)';
                ALTER TABLE keyvane.token ENABLE TRIGGER USER;
                \(damage)
                COMMIT;
                """
            )
            #expect(try await ended.client.end() == Self.revoked)
            // And from there it goes on with one read a sweep.
            let tokens = gateway.source.counts.tokens
            try await Self.sweeps(3, of: gateway)
            #expect(gateway.source.counts.tokens == tokens)
            try await gateway.store.revokeToken(second.record.id, Self.root)
            #expect(try await watcher.client.end() == Self.revoked)
        }
    }

    /// PostgreSQL is away when the log is to be read, and the tokens cannot be looked up either.
    @Test func postgreSQLIsAway() async throws {
        try await GatewayFixture.with(configure: Self.withQuickSweeps) { gateway in
            let token = try await gateway.token()
            let watcher = try await gateway.watch(token: token.text)
            gateway.source.setAway(true)
            try await gateway.store.revokeToken(token.record.id, Self.root)
            try await Self.sweeps(3, of: gateway)
            #expect(gateway.service.connections == 1)
            gateway.source.setAway(false)
            #expect(try await watcher.client.end() == Self.revoked)
        }
    }

    /// Another gateway was killed, and all of its clients come at once.
    @Test func aCrowdCostsOneReadAnEnvironmentAndOneAToken() async throws {
        try await GatewayFixture.with { gateway in
            var tokens: [String] = []
            for _ in 0..<3 { tokens.append(try await gateway.token().text) }
            var environments = ["acme/web/production"]
            for number in 1...3 {
                let environment = try await gateway.makeEnvironment("e\(number)")
                try await gateway.commit(.set("A", "1"), to: environment, quietly: true)
                environments.append(environment.path.description)
            }
            try await gateway.commit(.set("A", "1"), quietly: true)
            let before = gateway.source.counts
            try await withThrowingTaskGroup(of: Void.self) { crowd in
                for number in 0..<600 {
                    let (token, environment) = (tokens[number % 3], environments[number % 4])
                    // As they left the other gateway: new, at the head, one behind, and with a cursor.
                    let since = ["", "&since=1", "&since=0", "&acks=true"][number / 4 % 4]
                    crowd.addTask {
                        let client = try await gateway.connect("?environment=\(environment)\(since)", token: token)
                        try await client.until("the first state") { $0.contains { $0.contains("\"cursor\"") } }
                    }
                }
                try await crowd.waitForAll()
            }
            let after = gateway.source.counts
            #expect(after.loads - before.loads == 4)
            #expect(after.authentications - before.authentications == 3)
            #expect(after.pages == before.pages && after.gaps == before.gaps)
        }
    }
}
