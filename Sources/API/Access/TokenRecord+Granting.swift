// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// Who may make, see, change and revoke whose tokens: an administrator of everything that the token reaches.
extension TokenRecord {
    /// A grant for some names only administers nothing; and what lives in browsers makes nothing that outlives it.
    func requireTokenAdministrator() throws(Problem) {
        if connection != nil || !grants.contains(where: { $0.permissions.contains(.admin) && $0.names == nil }) {
            throw .notGranted("admin")
        }
    }

    /// Of a token that reaches further than he, an administrator may not know.
    func administers(_ token: TokenRecord) -> Bool {
        token.grants.allSatisfy { administers(scopeOf: $0) }
    }

    /// Nobody grants more than he has: every permission must be held over the whole scope, and the scope be administered.
    func mayGrant(_ grant: Grant) -> Bool {
        administers(scopeOf: grant) && holds(grant)
    }
}
