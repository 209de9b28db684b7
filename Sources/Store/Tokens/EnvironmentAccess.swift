// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What one token may do in one environment.
package struct EnvironmentAccess: Hashable, Sendable {
    private let readable: NameSet
    private let writable: NameSet
    package let isAdmin: Bool
    package let visibility: Visibility

    /// Nil where no grant reaches the environment: its holder may not know of it.
    init?(_ grants: [Grant], to path: EnvironmentPath) {
        let reaching = grants.filter { $0.covers(path) }
        guard !reaching.isEmpty else { return nil }
        func names(_ permissions: Set<Permission>) -> NameSet {
            reaching.filter { !$0.permissions.isDisjoint(with: permissions) }.reduce(.none) { set, grant in
                set.union(grant.names.map { NameSet($0.compactMap(NameGlob.init)) } ?? .everything)
            }
        }
        readable = names([.read, .readSecrets])
        writable = names([.write])
        // A grant for some names only administers nothing.
        isAdmin = reaching.contains { $0.permissions.contains(.admin) && $0.names == nil }
        visibility = Visibility(variables: readable, secrets: names([.readSecrets]))
    }

    /// May know the entry; a secret without its value.
    package func canRead(_ name: String) -> Bool { readable.contains(name) }
    package func canReadSecret(_ name: String) -> Bool { visibility.secrets.contains(name) }
    package func canWrite(_ name: String) -> Bool { writable.contains(name) }
    /// At least one name, whatever it is.
    package var canReadSomething: Bool { readable != .none }
    package var canWriteSomething: Bool { writable != .none }
}
