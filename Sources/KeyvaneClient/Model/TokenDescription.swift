// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A token without its text.
public struct TokenDescription: Sendable, Hashable, Codable {
    /// What a token may do where.
    public struct Grant: Sendable, Hashable, Codable {
        /// The workspace's slug, or `*`.
        public let workspace: String
        /// The project's slug; nil is all of them.
        public let project: String?
        /// The environment's slug; nil is all of them.
        public let environment: String?
        /// Globs of entry names; nil is all of them.
        public let names: [String]?
        /// `read`, `read_secrets`, `write`, `admin`.
        public let permissions: [String]

        /// Makes a grant.
        public init(
            workspace: String,
            project: String? = nil,
            environment: String? = nil,
            names: [String]? = nil,
            permissions: [String]
        ) {
            self.workspace = workspace
            self.project = project
            self.environment = environment
            self.names = names
            self.permissions = permissions
        }
    }

    /// The token's public part.
    public let id: String
    /// What it is for.
    public let description: String?
    /// What it may do.
    public let grants: [Grant]
    /// When it ends, RFC 3339.
    public let expiresAt: String?
    /// When it was made, RFC 3339.
    public let createdAt: String?
    /// Who made it.
    public let createdBy: String?
    /// When it was last used, RFC 3339, to the minute.
    public let lastUsedAt: String?
}
