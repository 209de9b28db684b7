// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
package import Store

/// A token that was found good, shared by all its connections; replaced by a new one when its grants change.
package final class Principal: Sendable {
    package let token: TokenRecord
    /// In milliseconds since 1970.
    let expiry: Int64?

    package init(_ token: TokenRecord) {
        self.token = token
        expiry = token.expiresAt.map { Int64($0.timeIntervalSince1970 * 1000) }
    }

    /// Only what decides about access; a token's last use changes all the time.
    func grantsTheSame(as other: Principal) -> Bool {
        token.grants == other.token.grants && token.expiresAt == other.token.expiresAt
    }
}

/// The connections of each token on all loops. Found by the token's id, which connect tokens share with their parent, without a look at any
/// other token: rounds over all of them, and floods of announcements, cost as much as they find. A value.
package struct TokenUses {
    private var uses: [String: (principal: Principal, count: Int)] = [:]
    /// The identities of connect tokens by their parent's id; all other tokens' identity is their id.
    private var connectTokens: [String: Set<String>] = [:]

    package init() {}

    package var isEmpty: Bool { uses.isEmpty }

    package var tokenIDs: Set<String> { Set(uses.values.lazy.map(\.principal.token.id)) }

    package func contains(_ id: String) -> Bool { uses[id] != nil || connectTokens[id] != nil }

    /// Those that a change of the token can concern.
    package func identities(of id: String) -> Set<String> {
        var identities = connectTokens[id] ?? []
        if uses[id] != nil { identities.insert(id) }
        return identities
    }

    package func connections(of id: String) -> Int {
        let connected = connectTokens[id]?.reduce(0) { $0 + (uses[$1]?.count ?? 0) }
        return (uses[id]?.count ?? 0) + (connected ?? 0)
    }

    /// The one that all connections of its identity have: who came first has it, until the token is looked up again.
    package mutating func add(_ principal: Principal) -> Principal {
        let (id, identity) = (principal.token.id, principal.token.identity)
        let (shared, count) = uses[identity] ?? (principal, 0)
        uses[identity] = (shared, count + 1)
        if count == 0, identity != id { connectTokens[id, default: []].insert(identity) }
        return shared
    }

    package mutating func release(_ identity: String) {
        guard let (principal, count) = uses[identity] else { return }
        guard count == 1 else {
            uses[identity] = (principal, count - 1)
            return
        }
        uses[identity] = nil
        let id = principal.token.id
        guard identity != id else { return }
        connectTokens[id]?.remove(identity)
        if connectTokens[id]?.isEmpty == true { connectTokens[id] = nil }
    }

    /// False where there was none.
    package mutating func removeAll(of id: String) -> Bool {
        let identities = identities(of: id)
        for identity in identities { uses[identity] = nil }
        connectTokens[id] = nil
        return !identities.isEmpty
    }

    /// The new principals, of those whose access is another one now.
    package mutating func renew(from row: TokenRecord) -> [Principal] {
        var changed: [Principal] = []
        for identity in identities(of: row.id) {
            guard let (old, count) = uses[identity] else { continue }
            let new = Principal(old.token.renewed(from: row))
            guard !new.grantsTheSame(as: old) else { continue }
            uses[identity] = (new, count)
            changed.append(new)
        }
        return changed
    }
}
