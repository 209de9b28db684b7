// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Gateway
import Store
import Testing

@Suite struct TokenUsesTests {
    private static func token(_ id: String, _ permissions: Set<Permission> = [.read], lastUsedAt: Date? = nil) -> TokenRecord {
        TokenRecord(
            id: id,
            description: "",
            grants: [Grant(workspace: "acme", permissions: permissions)],
            createdAt: Date(timeIntervalSince1970: 0),
            createdBy: "root",
            lastUsedAt: lastUsedAt
        )
    }

    @Test func aRoundOverAllTokensVisitsEachUseOnce() {
        var uses = TokenUses()
        let count = 5_000
        for number in 0..<count { _ = uses.add(Principal(Self.token("t\(number)"))) }
        let ids = uses.tokenIDs
        #expect(ids.count == count)
        #expect(ids.reduce(0) { $0 + uses.identities(of: $1).count } == count)
        for number in 0..<count { uses.release("t\(number)") }
        #expect(uses.tokenIDs.isEmpty)
    }

    @Test func connectionsShareTheFirstOnesPrincipalUntilItIsRenewed() throws {
        var uses = TokenUses()
        let first = Principal(Self.token("a"))
        #expect(uses.add(first) === first)
        #expect(uses.add(Principal(Self.token("a", [.read, .write]))) === first)
        // A token's last use is no change of it.
        #expect(uses.renew(from: Self.token("a", lastUsedAt: Date())).isEmpty)
        let new = try #require(uses.renew(from: Self.token("a", [.write])).first)
        #expect(new.token.grants == Self.token("a", [.write]).grants)
        #expect(uses.add(first) === new)
        #expect(uses.renew(from: Self.token("b")).isEmpty)
    }

    @Test func aTokenIsInUseUntilItsLastConnectionGoesOrItEnds() {
        var uses = TokenUses()
        for _ in 0..<2 { _ = uses.add(Principal(Self.token("a"))) }
        uses.release("a")
        #expect(uses.contains("a"))
        uses.release("a")
        #expect(!uses.contains("a"))
        _ = uses.add(Principal(Self.token("b")))
        let (first, second) = (uses.removeAll(of: "b"), uses.removeAll(of: "b"))
        #expect(first && !second)
        // Its connections hear of it and leave afterwards.
        uses.release("b")
        #expect(!uses.contains("b"))
    }

    @Test func onlyItsOwnChangesMakeALookUpStale() {
        var changes = TokenChanges()
        changes.append("a", at: 1)
        let began = changes.count
        #expect(!changes.mayHaveChanged("a", since: began))
        changes.append("b", at: 2)
        #expect(changes.mayHaveChanged("b", since: began))
        #expect(!changes.mayHaveChanged("a", since: began))
        changes.removeAll(before: 3)
        #expect(!changes.mayHaveChanged("b", since: began))
    }

    @Test func aFloodOfChangesIsForgottenOnTheSafeSide() {
        var changes = TokenChanges()
        changes.append("a", at: 1)
        let began = changes.count
        for number in 0..<TokenChanges.capacity { changes.append("x\(number)", at: 2) }
        #expect(changes.mayHaveChanged("a", since: began))
        #expect(!changes.mayHaveChanged("a", since: changes.count))
    }
}
