// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// A credential without its secret part.
package struct TokenRecord: Hashable, Sendable {
    package let id: String
    package let description: String
    package let grants: [Grant]
    package let expiresAt: Date?
    package let createdAt: Date
    package let createdBy: String
    package let lastUsedAt: Date?
    package let isRoot: Bool
    /// Counts the changes of its fields; its last use is none.
    package let version: Int64
    /// The number of its last event in the log of tokens, 0 where it has had none.
    package let event: Int64
    /// Of a connect token, which goes by its parent's id: it ends with it, and acts in its name.
    package let connection: ConnectTokenClaims?

    package init(
        id: String,
        description: String,
        grants: [Grant],
        expiresAt: Date? = nil,
        createdAt: Date,
        createdBy: String,
        lastUsedAt: Date? = nil,
        isRoot: Bool = false,
        version: Int64 = 1,
        event: Int64 = 0,
        connection: ConnectTokenClaims? = nil
    ) {
        self.id = id
        self.description = description
        self.grants = grants
        self.expiresAt = expiresAt
        self.createdAt = createdAt
        self.createdBy = createdBy
        self.lastUsedAt = lastUsedAt
        self.isRoot = isRoot
        self.version = version
        self.event = event
        self.connection = connection
    }

    /// The token that the configuration names instead of the database.
    package static let configuredRoot = TokenRecord(
        id: "root",
        description: "root token of the configuration",
        grants: [.root],
        createdAt: Date(timeIntervalSince1970: 0),
        createdBy: "configuration",
        isRoot: true
    )

    /// How changes and the audit name its holder: `token:ab12cd34`, or `root` for the configured one.
    package var actor: String { self.id == Self.configuredRoot.id ? "root" : "token:\(id)" }

    /// What `If-Match` is compared with.
    package var tag: String { String(version) }

    /// Tells a connect token from its parent and its siblings.
    package var identity: String { connection.map { "\(id)/\($0.id)" } ?? id }

    package func isExpired(at moment: Date) -> Bool {
        expiresAt.map { $0 <= moment } ?? false
    }

    /// Nil where the holder may not know of the environment.
    package func access(to path: EnvironmentPath) -> EnvironmentAccess? {
        EnvironmentAccess(grants, to: path)
    }

    /// Some grant reaches into the workspace, or the project.
    package func knows(workspace: String) -> Bool {
        grants.contains { $0.covers(workspace: workspace) }
    }

    package func knows(workspace: String, project: String) -> Bool {
        grants.contains { $0.covers(workspace: workspace, project: project) }
    }

    /// Administers every workspace: may create workspaces and drain instances.
    package var administersEverything: Bool {
        administers { $0.workspace == "*" && $0.project == nil }
    }

    package func administers(workspace: String) -> Bool {
        administers { $0.covers(workspace: workspace) && $0.project == nil }
    }

    package func administers(workspace: String, project: String) -> Bool {
        administers { $0.covers(workspace: workspace, project: project) && $0.environment == nil }
    }

    package func administers(_ path: EnvironmentPath) -> Bool {
        administers { $0.covers(path) }
    }

    /// The places in the workspace that it administers, as slugs with slashes; nil for all of it.
    package func administeredPlaces(in workspace: String) -> [String]? {
        guard !administers(workspace: workspace) else { return nil }
        let reaching = grants.filter { $0.permissions.contains(.admin) && $0.names == nil && $0.covers(workspace: workspace) }
        return reaching.map { [workspace, $0.project, $0.environment].compactMap(\.self).joined(separator: "/") }
    }

    /// A grant for some names only doesn't administer what holds them.
    private func administers(_ reaches: (Grant) -> Bool) -> Bool {
        grants.contains { $0.permissions.contains(.admin) && $0.names == nil && reaches($0) }
    }
}
