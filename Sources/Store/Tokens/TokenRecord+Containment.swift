// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What lies within what: the one rule that tokens are made, changed and narrowed by.
extension TokenRecord {
    /// Holds the permission over the grant's whole scope.
    package func holds(_ permission: Permission, over grant: Grant) -> Bool {
        grants.contains { $0.permissions.contains(permission) && $0.contains(grant) }
    }

    /// Holds all of the grant.
    package func holds(_ grant: Grant) -> Bool {
        grant.permissions.allSatisfy { holds($0, over: grant) }
    }

    /// Administers the grant's whole scope. A grant for some names only administers nothing.
    package func administers(scopeOf grant: Grant) -> Bool {
        grants.contains { $0.permissions.contains(.admin) && $0.names == nil && $0.contains(grant) }
    }

    /// Itself as its connect token: with the claims' grants as far as they lie within its own, and no longer than either lives.
    func narrowed(to claims: ConnectTokenClaims) -> TokenRecord {
        let allowed = claims.grants.map { wanted in
            wanted.compactMap { grant -> Grant? in
                let permissions = grant.permissions.filter { holds($0, over: grant) }
                return permissions.isEmpty ? nil : grant.with(permissions)
            }
        }
        return TokenRecord(
            id: id,
            description: "connect token \(claims.id)",
            grants: allowed ?? grants,
            expiresAt: min(claims.expiresAt, expiresAt ?? .distantFuture),
            createdAt: Timestamp(milliseconds: claims.issuedAt * 1000).date,
            createdBy: actor,
            lastUsedAt: lastUsedAt,
            isRoot: isRoot,
            version: version,
            event: event,
            connection: claims
        )
    }

    /// What becomes of a token in use when its row has changed: a connect token goes on within its parent's new bounds.
    package func renewed(from row: TokenRecord) -> TokenRecord {
        connection.map { row.narrowed(to: $0) } ?? row
    }
}

extension Grant {
    /// The other grant's scope lies within this one's.
    package func contains(_ other: Grant) -> Bool {
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

    fileprivate func with(_ permissions: Set<Permission>) -> Grant {
        Grant(workspace: workspace, project: project, environment: environment, names: names, permissions: permissions)
    }
}
