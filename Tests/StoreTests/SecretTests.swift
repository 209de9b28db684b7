// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor
import Store
import TestSupport
import Testing

@Suite("Secrets")
struct SecretTests {
    private let canary = "pl41ntext-canary-Zq8"

    @Test("No plaintext in a dump of the database, and every place sealed anew")
    func dump() async throws {
        try await StoreFixture.with { fixture in
            let first = try await fixture.set("S", canary, kind: .secret)
            let second = try await fixture.set("S2", canary, kind: .secret)
            try await fixture.set("S", "other", kind: .secret)
            try await fixture.set("S", canary, kind: nil)
            let (_, text) = try await fixture.store.createToken(description: "d", grants: [], expiresAt: nil, createdBy: "root")
            let dump = try await fixture.database.dump()
            #expect(dump.contains("sealed:v1:") && dump.contains("wrapped:v1:one:"))
            #expect(!dump.contains(canary) && !dump.contains(Data(canary.utf8).base64EncodedString()) && !dump.contains(text))
            #expect(first.entries.first?.value != second.entries.first?.value)
            let sealed = try await fixture.allChanges().compactMap(\.value?.text)
            #expect(Set(sealed).count == 4 && sealed.allSatisfy { $0.hasPrefix("sealed:v1:") })
        }
    }

    @Test("A sealed value opens in its own place only")
    func place() async throws {
        try await StoreFixture.with { fixture in
            let id = fixture.environmentID
            try await fixture.set("A", "alpha", kind: .secret)
            try await fixture.set("B", "beta", kind: .secret)
            let key = try await fixture.store.projectKey(environmentID: id)
            // By hand, as an attacker with database access would.
            try await fixture.database.sql(
                "UPDATE keyvane.entry SET value = (SELECT value FROM keyvane.entry WHERE name = 'A') WHERE name = 'B'"
            )
            let moved = try #require(try await fixture.store.entry(environmentID: id, name: "B"))
            let text = try #require(moved.value?.text)
            let opened = await failure { try key.open(text, environmentID: id, name: "B", version: 1) }
            #expect(opened?.code == .sealedValueUnreadable && opened?.underlying?.contains("B version 1") == true)
            #expect(try key.open(text, environmentID: id, name: "A", version: 1) == "alpha")
            await expectRefusal(.sealedValueUnreadable) { try key.open(text, environmentID: id, name: "A", version: 2) }
            await expectRefusal(.sealedValueUnreadable) { try key.open(text, environmentID: UUID(), name: "A", version: 1) }
            for damaged in ["", "sealed:v1:", "sealed:v1:AAAA", "sealed:v2:" + text.dropFirst(10), String(text.dropLast(4)) + "AAAA"] {
                await expectRefusal(.sealedValueUnreadable) { try key.open(damaged, environmentID: id, name: "A", version: 1) }
            }
            // Into another environment of the same project, whose data key is the same.
            let other = try await fixture.store.createEnvironment(workspace: "acme", project: "web", slug: "other", actor: "root")
            let change = EntryChange(name: "A", op: .set("gamma"), kind: .secret)
            _ = try await fixture.store.mutate(Mutation(environmentID: other.id, changes: [change], actor: "root"))
            try await fixture.database.sql("UPDATE keyvane.entry SET value = '\(text)' WHERE environment_id = '\(other.id)'")
            let stranger = try #require(try await fixture.store.entry(environmentID: other.id, name: "A")?.value?.text)
            let otherKey = try await fixture.store.projectKey(environmentID: other.id)
            await expectRefusal(.sealedValueUnreadable) { try otherKey.open(stranger, environmentID: other.id, name: "A", version: 1) }
            // Back in time: the value of an older version put in the place of the present one.
            try await fixture.set("A", "alpha 2", kind: .secret)
            try await fixture.database.sql("UPDATE keyvane.entry SET value = '\(text)' WHERE name = 'A' AND version = 2")
            let old = try #require(try await fixture.store.entry(environmentID: id, name: "A"))
            #expect(old.value?.text == text && old.version == 2)
            await expectRefusal(.sealedValueUnreadable) { try key.open(text, environmentID: id, name: "A", version: old.version) }
            // Writing it again repairs it.
            let repaired = try await fixture.set("B", "beta", kind: .secret)
            #expect(repaired.entries.first?.version == 2)
        }
    }

    @Test("A wrong or missing master key is found at start; a rotated ring is not refused")
    func masterKeys() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("S", canary, kind: .secret)
            func start(_ keys: String) async throws -> StoreError? {
                try await LoopGroup.withLoops(count: 1) { loops in
                    let store = try StoreFixture.make(url: fixture.database.url, keys: keys, loops: loops)
                    return await failure { try await store.run() }
                }
            }
            let wrong = try await start(StoreFixture.otherKeys)
            #expect(wrong?.code == .masterKeyWrong && wrong?.message.contains("'one'") == true)
            let missing = try await start(StoreFixture.otherKeys.replacingOccurrences(of: "one:", with: "two:"))
            #expect(missing?.code == .masterKeyMissing && missing?.message.contains("'one'") == true)
            let rotated = StoreFixture.otherKeys.replacingOccurrences(of: "one:", with: "two:") + "," + StoreFixture.keys
            try await StoreFixture.withStore(url: fixture.database.url, keys: rotated) { store in
                let key = try await store.projectKey(environmentID: fixture.environmentID)
                let entry = try #require(try await store.entry(environmentID: fixture.environmentID, name: "S"))
                let text = try key.open(entry.value?.text ?? "", environmentID: fixture.environmentID, name: "S", version: entry.version)
                #expect(text == canary)
                // A new project is under the new key, which the first store doesn't have.
                _ = try await store.createProject(workspace: "acme", slug: "new", actor: "root")
                let made = try await store.createEnvironment(workspace: "acme", project: "new", slug: "e", actor: "root")
                await expectRefusal(.masterKeyMissing) { try await fixture.store.projectKey(environmentID: made.id) }
            }
            let gone = try await start(StoreFixture.keys)
            #expect(gone?.code == .masterKeyMissing && gone?.message.contains("'two'") == true)
        }
    }

    @Test("A key ring is read strictly, and its errors show no key")
    func keyRing() throws {
        let good = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
        for text in [
            "", good, "one:", "one:AAAA", "one:\(good),", "one:\(good),one:\(good)", "O N E:\(good)", "one:\(good)x", "one:!\(good)",
        ] {
            #expect {
                try KeyRing(parsing: text)
            } throws: { error in
                (error as? StoreError)?.code == .configurationInvalid && !"\(error)".contains("AAEC")
            }
        }
        let ring = try KeyRing(parsing: " one:\(good) , \(KeyRing.generateKey(id: "two"))")
        #expect(ring.derivedKey(label: "a") != ring.derivedKey(label: "b"))
        #expect(ring.derivedKeys(label: "a").count == 2 && ring.derivedKeys(label: "a").first == ring.derivedKey(label: "a"))
    }
}
