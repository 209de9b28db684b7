// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Reactor
import Store
import TestSupport
import Testing

@Suite("Connect tokens")
struct ConnectTokenTests {
    /// A second process on the same database, with other keys or another root token.
    private func with<Value>(
        _ fixture: StoreFixture,
        keys: String,
        root: String?,
        _ body: (ConfigurationStore) async throws -> Value
    ) async throws -> Value {
        try await LoopGroup.withLoops(count: 1) { loops in
            var configuration = StoreConfiguration(url: fixture.database.url)
            configuration.requestTimeout = .seconds(20)
            configuration.rootTokenHash = root.map { TokenText.hash($0) }
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let store = try ConfigurationStore(
                configuration: configuration,
                keyRing: try KeyRing(parsing: keys),
                loops: loops,
                logger: logger
            )
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await store.run() }
                defer { group.cancelAll() }
                _ = try await eventually("the store being connected") { store.isAvailable ? true : nil }
                return try await body(store)
            }
        }
    }

    @Test("Those of the configured root token end when it is another one, and open wherever it is the same")
    func rootBinding() async throws {
        try await StoreFixture.with { fixture in
            let text = try await fixture.store.connectToken(of: .configuredRoot, grants: nil, lifetime: .seconds(60)).text
            let here = try #require(try await fixture.store.authenticate(text))
            #expect(here.actor == "root" && here.administersEverything && here.connection != nil && here.identity != "root")
            // Keys that are being rotated: the one it was signed with is no longer the first.
            let rotated = "two:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,\(StoreFixture.keys)"
            for (root, isGood) in [
                (StoreFixture.rootToken, true), ("another-root-token-of-the-tests-0123456789", false), (nil, false),
            ] as [(String?, Bool)] {
                let found = try await with(fixture, keys: rotated, root: root) { try await $0.authenticate(text) }
                #expect((found != nil) == isGood)
            }
        }
    }

    @Test("Never wider than the parent is when it is used")
    func narrowed() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let wide = Grant(workspace: "acme", names: ["APP_*"], permissions: [.read, .write])
            let (record, _) = try await store.createToken(description: "", grants: [wide], expiresAt: nil, createdBy: "root")
            let wanted = [
                Grant(workspace: "acme", project: "web", names: ["APP_A"], permissions: [.read, .write, .admin]),
                Grant(workspace: "acme", permissions: [.read]), Grant(workspace: "*", permissions: [.read]),
            ]
            // The API refuses such grants; the store narrows what it finds in a token in any case.
            let text = try await store.connectToken(of: record, grants: wanted, lifetime: .seconds(60)).text
            let found = try #require(try await store.authenticate(text))
            #expect(found.grants == [Grant(workspace: "acme", project: "web", names: ["APP_A"], permissions: [.read, .write])])
            #expect(found.id == record.id && found.actor == record.actor)
            let less = TokenChange(grants: [Grant(workspace: "acme", names: ["APP_*"], permissions: [.read])])
            let changed = try #require(try await store.changeToken(record, less, MutationOrigin(actor: "root")))
            #expect(try await store.authenticate(text)?.grants.map(\.permissions) == [[.read]])
            // Sockets that are open go by the same rule.
            #expect(found.renewed(from: changed).grants.map(\.permissions) == [[.read]])
            #expect(record.renewed(from: changed) == changed)
            try await store.revokeToken(record.id, by: "root")
            #expect(try await store.authenticate(text) == nil)
        }
    }
}
