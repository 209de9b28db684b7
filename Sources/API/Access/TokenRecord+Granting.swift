// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// Who may make, see and revoke whose tokens: an administrator of everything that the token reaches.
extension TokenRecord {
    /// A grant for some names only administers nothing.
    func requireTokenAdministrator() throws(Problem) {
        if !grants.contains(where: { $0.permissions.contains(.admin) && $0.names == nil }) { throw .notGranted("admin") }
    }

    /// Of a token that reaches further than he, an administrator may not know.
    func administers(_ token: TokenRecord) -> Bool {
        token.grants.allSatisfy { administers($0) }
    }

    /// Nobody grants more than he has: every permission must be held over the whole scope, and the scope be administered.
    func mayGrant(_ grant: Grant) -> Bool {
        administers(grant)
            && grant.permissions.allSatisfy { permission in
                grants.contains { $0.permissions.contains(permission) && $0.contains(grant) }
            }
    }

    private func administers(_ grant: Grant) -> Bool {
        grants.contains { $0.permissions.contains(.admin) && $0.names == nil && $0.contains(grant) }
    }
}

extension Grant {
    /// The other grant's scope lies within this one's.
    fileprivate func contains(_ other: Grant) -> Bool {
        (workspace == "*" || workspace == other.workspace)
            && (project == nil || project == other.project)
            && (environment == nil || environment == other.environment)
            && containsNames(of: other)
    }

    /// Whether one pattern lies within another is decided for the plain cases: the same pattern, or a name without wildcards that matches.
    private func containsNames(of other: Grant) -> Bool {
        guard let names else { return true }
        guard let others = other.names else { return false }
        let globs = names.compactMap(NameGlob.init)
        return others.allSatisfy { name in
            names.contains(name) || (!name.contains { $0 == "*" || $0 == "?" } && globs.contains { $0.matches(name) })
        }
    }
}
