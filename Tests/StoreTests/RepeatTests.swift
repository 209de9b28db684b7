// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import TestSupport
import Testing

/// The same mutation under the same idempotency key takes effect once, and answers the same for a day.
@Suite(.serialized) struct RepeatTests {
    private static func key(_ text: String = "k", token: String = "ab12cd34", body: String = "") -> IdempotencyKey {
        IdempotencyKey(token: token, key: text, request: ["PUT", "/"], body: Array(body.utf8))
    }

    private static func mutation(
        _ fixture: StoreFixture,
        _ changes: [EntryChange],
        _ key: IdempotencyKey,
        if precondition: Precondition = .none
    ) -> Mutation {
        Mutation(
            environmentID: fixture.environmentID,
            changes: changes,
            actor: "token:ab12cd34",
            precondition: precondition,
            idempotencyKey: key
        )
    }

    @Test func aRepetitionGetsTheFirstAnswerAndChangesNothing() async throws {
        try await StoreFixture.with { fixture in
            let changes = [
                EntryChange(name: "A", op: .set("1"), kind: .variable, note: "why"), EntryChange(name: "S", op: .set("x"), kind: .secret),
                EntryChange(name: "NONE", op: .delete),
            ]
            let first = try await fixture.store.mutate(Self.mutation(fixture, changes, Self.key()))
            try await fixture.set("A", "later")
            let second = try await fixture.store.mutate(Self.mutation(fixture, changes, Self.key()))
            #expect(second.isRepeated)
            #expect(second.changes == first.changes)
            #expect(second.entries == first.entries)
            #expect(second.revision == first.revision)
            #expect(second.created == first.created)
            let head = try await fixture.revision()
            #expect(head == 3)
            // Another token's key of the same text is another key.
            let other = try await fixture.store.mutate(Self.mutation(fixture, changes, Self.key(token: "root")))
            #expect(!other.isRepeated)
        }
    }

    /// After the first call the precondition no longer holds and the old name is gone; the repetition must not be judged by that.
    @Test func aRepetitionIsNotRefusedForWhatTheFirstCallDid() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("A", "1")
            let rename = [EntryChange(name: "A", op: .rename(to: "B"), kind: .variable)]
            for _ in 1...2 {
                let outcome = try await fixture.store.mutate(Self.mutation(fixture, rename, Self.key(), if: .versionIn([1])))
                #expect(outcome.entries.map(\.name) == ["B"])
                #expect(outcome.revision == 3)
            }
        }
    }

    @Test func aNoOpIsRememberedToo() async throws {
        try await StoreFixture.with { fixture in
            try await fixture.set("A", "1")
            let change = [EntryChange(name: "A", op: .set("1"), kind: .variable)]
            let first = try await fixture.store.mutate(Self.mutation(fixture, change, Self.key()))
            #expect(first.changes.isEmpty)
            try await fixture.set("A", "2")
            let second = try await fixture.store.mutate(Self.mutation(fixture, change, Self.key()))
            #expect(second.isRepeated)
            #expect(second.entries == first.entries)
            let value = try await fixture.opened("A")
            #expect(value == "2")
        }
    }

    @Test func aRefusalLeavesNoReceiptAndAnotherRequestIsRefused() async throws {
        try await StoreFixture.with { fixture in
            let change = [EntryChange(name: "A", op: .set("1"), kind: .variable)]
            await expectRefusal(.preconditionFailed) {
                try await fixture.store.mutate(Self.mutation(fixture, change, Self.key(), if: .exists))
            }
            let outcome = try await fixture.store.mutate(Self.mutation(fixture, change, Self.key(), if: .absent))
            #expect(outcome.created)
            await expectRefusal(.idempotencyKeyReused) {
                try await fixture.store.mutate(Self.mutation(fixture, change, Self.key(body: "another")))
            }
            // After a day the key is free again.
            _ = try await fixture.database.sql("UPDATE keyvane.receipt SET created_at = created_at - interval '25 hours'")
            let later = [EntryChange(name: "A", op: .set("2"), kind: .variable)]
            let anew = try await fixture.store.mutate(Self.mutation(fixture, later, Self.key(body: "another")))
            #expect(!anew.isRepeated)
            #expect(anew.revision == 2)
        }
    }

    /// The one that comes second finds the old name gone before it finds the first one's receipt.
    @Test func ofManyRenamesAtOnceAllGetTheFirstAnswer() async throws {
        try await StoreFixture.with(writers: 2) { fixture in
            try await fixture.set("A", "1")
            let rename = [EntryChange(name: "A", op: .rename(to: "B"), kind: .variable)]
            let outcomes = try await withThrowingTaskGroup(of: MutationOutcome.self) { group in
                for _ in 1...16 { group.addTask { try await fixture.store.mutate(Self.mutation(fixture, rename, Self.key())) } }
                return try await group.reduce(into: [MutationOutcome]()) { $0.append($1) }
            }
            #expect(outcomes.count == 16)
            #expect(Set(outcomes.map(\.revision)) == [3])
        }
    }

    @Test func ofManyAtOnceOneIsCarriedOut() async throws {
        try await StoreFixture.with(writers: 2) { fixture in
            let outcomes = try await withThrowingTaskGroup(of: MutationOutcome.self) { group in
                for _ in 1...16 {
                    group.addTask {
                        let change = EntryChange(name: "S", op: .set("x"), kind: .secret)
                        return try await fixture.store.mutate(Self.mutation(fixture, [change], Self.key()))
                    }
                }
                return try await group.reduce(into: [MutationOutcome]()) { $0.append($1) }
            }
            #expect(outcomes.filter { !$0.isRepeated }.count == 1)
            #expect(Set(outcomes.map(\.entries)).count == 1)
            let head = try await fixture.revision()
            #expect(head == 1)
        }
    }
}
