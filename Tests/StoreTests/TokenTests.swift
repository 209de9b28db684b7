// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

@Suite("Tokens")
struct TokenTests {
    @Test("A token opens what it is, and nothing else does")
    func authentication() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let grants = [Grant(workspace: "acme", project: "web", names: ["DB_*"], permissions: [.read, .write])]
            let (record, text) = try await store.createToken(description: "ci", grants: grants, expiresAt: nil, createdBy: "root")
            #expect(text.count == 55 && text.hasPrefix("kv_\(record.id)_") && record.actor == "token:\(record.id)")
            let found = try #require(try await store.authenticate(text))
            #expect(found.id == record.id && found.grants == grants && found.createdBy == "root" && !found.isRoot)
            let wrong = String(text.dropLast()) + (text.hasSuffix("A") ? "B" : "A")
            for bad in [
                "", "kv_", wrong, text + "x", "kv_aaaaaaaa_" + text.suffix(43), text.uppercased(), "root", "\0",
                String(text.dropLast()) + "\0",
            ] {
                #expect(try await store.authenticate(bad) == nil)
            }
            // Used tokens say so, at most once a minute and some time later.
            let used = try await eventually("last used") { try await store.token(record.id)?.lastUsedAt }
            _ = try await store.authenticate(text)
            #expect(try await store.token(record.id)?.lastUsedAt == used)
            #expect(try await store.revokeToken(record.id, by: "root"))
            #expect(try await store.authenticate(text) == nil)
            #expect(try await store.token(record.id) == nil)
            #expect(try await store.revokeToken("zzzzzzzz", by: "root") == false)
        }
    }

    @Test("Expired tokens, the configured root token, root tokens of the database, and lists")
    func kinds() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let past = Date(timeIntervalSinceNow: -1)
            let (_, expired) = try await store.createToken(description: "", grants: [], expiresAt: past, createdBy: "root")
            #expect(try await store.authenticate(expired) == nil)
            let later = Date(timeIntervalSinceNow: 3600)
            let (record, text) = try await store.createToken(
                description: "r",
                grants: [.root],
                expiresAt: later,
                isRoot: true,
                createdBy: "root"
            )
            let root = try #require(try await store.authenticate(text))
            #expect(root.isRoot && root.administersEverything && root.expiresAt == record.expiresAt)
            #expect(abs(root.expiresAt?.timeIntervalSince(later) ?? 1) < 0.002)
            let configured = try #require(try await store.authenticate(StoreFixture.rootToken))
            #expect(configured.isRoot && configured.actor == "root")
            let list = try await store.tokens(PageRequest())
            #expect(list.items.count == 2 && list.items.map(\.id) == list.items.map(\.id).sorted())
            for (grant, field) in [
                (Grant(workspace: "A", permissions: [.read]), "grants/0/workspace"),
                (Grant(workspace: "a", permissions: []), "grants/0/permissions"),
                (Grant(workspace: "a", environment: "e", permissions: [.read]), "grants/0/project"),
                (Grant(workspace: "a", names: ["ok*", "not ok"], permissions: [.read]), "grants/0/names/1"),
            ] {
                let error = await failure {
                    try await store.createToken(description: "", grants: [grant], expiresAt: nil, createdBy: "root")
                }
                #expect(error?.code == .invalid && error?.field == field)
            }
        }
    }

    @Test("Grants: who may do what where")
    func grants() throws {
        let path = try EnvironmentPath(parsing: "acme/web/production")
        func access(_ grants: [Grant]) -> EnvironmentAccess? {
            TokenRecord(id: "abcdefgh", description: "", grants: grants, createdAt: Date(), createdBy: "").access(to: path)
        }
        // Not even known.
        for grant in [
            Grant(workspace: "other", permissions: [.admin]), Grant(workspace: "acme", project: "api", permissions: [.read]),
            Grant(workspace: "acme", project: "web", environment: "dev", permissions: [.read]),
        ] {
            #expect(access([grant]) == nil)
        }
        #expect(access([]) == nil)
        let table: [(Grant, read: Bool, secret: Bool, write: Bool, admin: Bool)] = [
            (Grant(workspace: "*", permissions: [.read]), true, false, false, false),
            (Grant(workspace: "acme", permissions: [.readSecrets]), true, true, false, false),
            (Grant(workspace: "acme", project: "web", permissions: [.write]), false, false, true, false),
            (Grant(workspace: "acme", project: "web", environment: "production", permissions: [.admin]), false, false, false, true),
            (Grant(workspace: "acme", names: ["DB_*"], permissions: [.read, .readSecrets, .write]), true, true, true, false),
            (Grant(workspace: "acme", names: ["FEATURE_?"], permissions: [.read, .readSecrets, .write]), false, false, false, false),
            (.root, true, true, true, true),
        ]
        for (grant, read, secret, write, admin) in table {
            let access = try #require(access([grant]))
            #expect(access.canRead("DB_HOST") == read && access.canReadSecret("DB_HOST") == secret)
            #expect(access.canWrite("DB_HOST") == write && access.isAdmin == admin)
            #expect(
                access.visibility.shows("DB_HOST", kind: .variable) == read && access.visibility.shows("DB_HOST", kind: .secret) == secret
            )
        }
        // Grants add up; equal rights are equal values, however they are written.
        let parts = [
            Grant(workspace: "acme", names: ["B*", "A*"], permissions: [.read]), Grant(workspace: "*", names: ["A*"], permissions: [.read]),
        ]
        #expect(access(parts)?.visibility == access([Grant(workspace: "acme", names: ["A*", "B*"], permissions: [.read])])?.visibility)
        #expect(access(parts + [.root])?.visibility == .everything)
        let narrow = TokenRecord(
            id: "x",
            description: "",
            grants: [Grant(workspace: "acme", project: "web", permissions: [.admin])],
            createdAt: Date(),
            createdBy: ""
        )
        #expect(narrow.knows(workspace: "acme") && !narrow.knows(workspace: "b") && !narrow.administers(workspace: "acme"))
        #expect(narrow.administers(workspace: "acme", project: "web") && !narrow.administersEverything)
    }

    @Test(
        "Globs",
        arguments: [
            ("*", "ANY", true), ("A*", "A", true), ("A*", "BA", false), ("*_URL", "DB_URL", true), ("*_URL", "DB_URLS", false),
            ("A?C", "ABC", true), ("A?C", "AC", false), ("A*B*C", "AxxBxxC", true), ("A*B*C", "AxxCxxB", false), ("**A**", "xAx", true),
            ("DB_HOST", "DB_HOST", true), ("DB_HOST", "DB_HOST2", false), ("a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("?", "Ä", false),
        ]
    )
    func globs(pattern: String, name: String, matches: Bool) throws {
        let glob = try #require(NameGlob(pattern))
        #expect(glob.matches(name) == matches)
        #expect(
            NameGlob("") == nil && NameGlob("a b") == nil && NameGlob("[a]") == nil && NameGlob(String(repeating: "a", count: 256)) == nil
        )
    }

    @Test("Changed: as it was when it was decided, or not at all")
    func changes() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let root = MutationOrigin(actor: "root")
            let wide = [Grant(workspace: "acme", permissions: [.read, .write]), Grant(workspace: "other", permissions: [.admin])]
            let (record, text) = try await store.createToken(description: "d", grants: wide, expiresAt: nil, createdBy: "root")
            let narrow = [Grant(workspace: "acme", permissions: [.read])]
            let later = Date(timeIntervalSince1970: 4_000_000_000.125)
            let changed = try #require(try await store.changeToken(record, TokenChange(grants: narrow, expiry: .at(later)), root))
            #expect(changed.grants == narrow && changed.expiresAt == later && changed.description == "d" && changed.version == 2)
            #expect(try await store.authenticate(text)?.grants == narrow)
            // Decided about a version that has passed.
            #expect(try await store.changeToken(record, TokenChange(description: "x"), root) == nil)
            let same = try #require(try await store.changeToken(changed, TokenChange(grants: narrow), root))
            #expect(same.version == 2)
            let forever = try #require(try await store.changeToken(changed, TokenChange(description: "e", expiry: .never), root))
            #expect(forever.expiresAt == nil && forever.description == "e")
            let strict = MutationOrigin(actor: "root", condition: ["2"])
            await expectRefusal(.preconditionFailed) { try await store.changeToken(forever, TokenChange(description: "f"), strict) }
            await expectRefusal(.preconditionFailed) { try await store.revokeToken(record.id, strict) }
            let past = TokenChange(expiry: .at(Date(timeIntervalSince1970: 1)))
            _ = try await store.changeToken(forever, past, root)
            #expect(try await store.authenticate(text) == nil)
            try await store.revokeToken(record.id, root)
            await expectRefusal(.notFound) { try await store.changeToken(forever, TokenChange(description: "g"), root) }
            #expect(try await store.formerToken(record.id)?.id == record.id)
            // Each workspace's audit tells of it, before and after.
            let audit = try await fixture.database.sql(
                "SELECT action, string_agg(place, ',' ORDER BY place) FROM keyvane.audit WHERE target = '\(record.id)' GROUP BY action, at ORDER BY at"
            )
            #expect(
                audit == [
                    "token.create|acme,other", "token.update|acme,other", "token.update|acme", "token.update|acme", "token.revoke|acme",
                ]
            )
        }
    }

    @Test("Of writers who decided about the same version one wins")
    func changesRace() async throws {
        try await StoreFixture.with { fixture in
            let store = fixture.store
            let record = try await store.createToken(description: "0", grants: [.root], expiresAt: nil, createdBy: "root").record
            let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 1...16 {
                    group.addTask {
                        try await store.changeToken(record, TokenChange(description: "\(number)"), MutationOrigin(actor: "root")) != nil
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(winners == 1)
            #expect(try await store.token(record.id)?.version == 2)
        }
    }
}
