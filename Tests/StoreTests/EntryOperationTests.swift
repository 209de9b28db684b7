// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

/// What can happen to an entry besides being set and deleted.
@Suite(.serialized) struct EntryOperationTests {
    @Test func disablingHidesAnEntryAndEnablingBringsItBack() async throws {
        try await StoreFixture.with { fixture in
            for kind in [EntryKind.variable, .secret] {
                let name = kind.rawValue.uppercased()
                try await fixture.set(name, "value of \(name)", kind: kind, note: "kept")
                let disabled = try await fixture.mutate([EntryChange(name: name, op: .disable, kind: kind)])
                #expect(disabled.changes.map(\.op) == [.delete])
                #expect(disabled.entries.map(\.enabled) == [false])
                #expect(disabled.entries.map(\.note) == ["kept"])
                let hidden = try await fixture.store.snapshot(environmentID: fixture.environmentID)
                #expect(!hidden.entries.contains { $0.name == name })
                let again = try await fixture.mutate([EntryChange(name: name, op: .disable, kind: kind)])
                #expect(again.changes.isEmpty)
                #expect(again.entries.map(\.value) == disabled.entries.map(\.value))
                // Written while it is disabled, it stays hidden.
                let written = try await fixture.set(name, "new value of \(name)", kind: kind)
                #expect(written.changes.map(\.op) == [.delete])
                #expect(written.entries.map(\.enabled) == [false])
                let enabled = try await fixture.mutate([EntryChange(name: name, op: .enable, kind: kind)])
                #expect(enabled.changes.map(\.op) == [.set])
                let value = try await fixture.opened(name)
                #expect(value == "new value of \(name)")
                let versions = try #require(try await fixture.versions(name, kind))
                #expect(versions.map(\.op) == [.enable, .set, .disable, .set])
            }
            await expectRefusal(.notFound) { try await fixture.mutate([EntryChange(name: "NONE", op: .disable, kind: .variable)]) }
            await expectRefusal(.notFound) { try await fixture.mutate([EntryChange(name: "VARIABLE", op: .enable, kind: .secret)]) }
        }
    }

    @Test func renamingIsOneTransactionOfADeleteAndASet() async throws {
        try await StoreFixture.with { fixture in
            for kind in [EntryKind.variable, .secret] {
                let (old, new) = ("OLD_\(kind.rawValue)", "NEW_\(kind.rawValue)")
                try await fixture.set(old, "text", kind: kind, note: "why")
                let renamed = try await fixture.mutate([EntryChange(name: old, op: .rename(to: new), kind: kind)])
                #expect(renamed.changes.map(\.name) == [old, new])
                #expect(renamed.changes.map(\.op) == [.delete, .set])
                #expect(renamed.changes.map(\.first) == [renamed.first, renamed.first])
                #expect(renamed.entries.map(\.name) == [new])
                #expect(renamed.entries.map(\.note) == ["why"])
                #expect(renamed.entries.map(\.kind) == [kind])
                let value = try await fixture.opened(new)
                #expect(value == "text")
                await expectRefusal(.notFound) { try await fixture.mutate([EntryChange(name: old, op: .rename(to: "X"), kind: kind)]) }
            }
            try await fixture.set("A", "1")
            let head = try await fixture.revision()
            await expectRefusal(.conflict) {
                try await fixture.mutate([EntryChange(name: "A", op: .rename(to: "NEW_secret"), kind: .variable)])
            }
            await expectRefusal(.invalid) {
                try await fixture.mutate([EntryChange(name: "A", op: .rename(to: "no name"), kind: .variable)])
            }
            let after = try await fixture.revision()
            #expect(after == head)
            // A name that was there before goes on counting its versions.
            let back = try await fixture.mutate([EntryChange(name: "A", op: .rename(to: "OLD_variable"), kind: .variable)])
            #expect(back.entries.map(\.version) == [3])
        }
    }

    @Test func sealingMakesASecretOfAVariable() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("KEY", "hunter2", note: "why")
            let sealed = try await fixture.mutate([EntryChange(name: "KEY", op: .seal, kind: .variable)])
            #expect(sealed.changes.map(\.kind) == [.secret])
            #expect(sealed.entries.map(\.note) == ["why"])
            let value = try await fixture.opened("KEY")
            #expect(value == "hunter2")
            let dump = try await fixture.database.sql("SELECT value FROM keyvane.entry WHERE name = 'KEY'")
            #expect(!dump.joined().contains("hunter2"))
            await expectRefusal(.notFound) { try await fixture.mutate([EntryChange(name: "KEY", op: .seal, kind: .variable)]) }
        }
    }

    @Test func rollingBackWritesTheOldValueAsANewVersion() async throws {
        try await StoreFixture.with { fixture in
            for kind in [EntryKind.variable, .secret] {
                let name = kind.rawValue.uppercased()
                for value in ["one", "two", "three"] { try await fixture.set(name, value, kind: kind) }
                let back = try await fixture.mutate([EntryChange(name: name, op: .rollback(version: 1), kind: kind)])
                #expect(back.entries.map(\.version) == [4])
                let value = try await fixture.opened(name)
                #expect(value == "one")
                let same = try await fixture.mutate([EntryChange(name: name, op: .rollback(version: 1), kind: kind)])
                #expect(same.changes.isEmpty)
                try await fixture.delete(name)
                for version: Int64 in [0, 5, 6, 99] {
                    await expectRefusal(.invalid) {
                        try await fixture.mutate([EntryChange(name: name, op: .rollback(version: version), kind: kind)])
                    }
                }
                let restored = try await fixture.mutate([EntryChange(name: name, op: .rollback(version: 2), kind: kind)])
                #expect(restored.created)
                #expect(restored.entries.map(\.version) == [6])
                let again = try await fixture.opened(name)
                #expect(again == "two")
            }
        }
    }

    /// An old variable's text becomes the secret it is now, never a plain value.
    @Test func aSealedEntryRolledBackStaysSealed() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("KEY", "hunter1")
            _ = try await fixture.mutate([EntryChange(name: "KEY", op: .seal, kind: .variable)])
            try await fixture.set("KEY", "hunter2", kind: .secret)
            let back = try await fixture.mutate([EntryChange(name: "KEY", op: .rollback(version: 1), kind: .secret)])
            #expect(back.changes.map(\.kind) == [.secret])
            let value = try await fixture.opened("KEY")
            #expect(value == "hunter1")
        }
    }

    @Test func anOldSecretNeverBecomesAVariable() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("KEY", "hunter2", kind: .secret)
            try await fixture.delete("KEY")
            try await fixture.set("KEY", "plain")
            await expectRefusal(.conflict) {
                try await fixture.mutate([EntryChange(name: "KEY", op: .rollback(version: 1), kind: .variable)])
            }
            let dump = try await fixture.database.sql("SELECT value FROM keyvane.change UNION ALL SELECT value FROM keyvane.entry")
            #expect(!dump.joined().contains("hunter2"))
        }
    }

    /// Each works out the same next version of a secret; the one that comes second must seal again, or its text could not be opened.
    @Test func racingOperationsOnOneSecretAllHold() async throws {
        try await StoreFixture.with(writers: 2) { fixture in
            try await fixture.set("S", "0", kind: .secret)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...8 {
                    group.addTask { try await fixture.set("S", "\(number)", kind: .secret) }
                    group.addTask {
                        _ = try await fixture.mutate([EntryChange(name: "S", op: number % 2 == 0 ? .disable : .enable, kind: .secret)])
                    }
                }
                try await group.waitForAll()
            }
            let versions = try #require(try await fixture.versions("S", .secret))
            #expect(versions.map(\.version) == Array((1...Int64(versions.count)).reversed()))
            let key = try await fixture.store.projectKey(environmentID: fixture.environmentID)
            for version in versions {
                let sealed = try #require(version.value?.text)
                _ = try key.open(sealed, environmentID: fixture.environmentID, name: "S", version: version.version)
            }
        }
    }
}

extension StoreFixture {
    /// The entry's plaintext.
    func opened(_ name: String) async throws -> String? {
        guard let entry = try await store.entry(environmentID: environmentID, name: name), let value = entry.value else { return nil }
        guard case .sealed(let sealed) = value else { return value.text }
        let key = try await store.projectKey(environmentID: environmentID)
        return try key.open(sealed, environmentID: environmentID, name: name, version: entry.version)
    }

    func versions(_ name: String, _ kind: EntryKind) async throws -> [EntryVersion]? {
        try await store.versions(environmentID: environmentID, name: name, kind: kind, PageRequest(limit: 200))?.items
    }
}
