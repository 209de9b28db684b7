// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A variable or a secret in a configuration.
public struct ConfigurationEntry: Sendable, Hashable, Codable {
    /// The name, unique in its environment.
    public let name: String
    /// The value in plaintext, secrets included.
    public let value: String
    /// Whether it is a secret.
    public let isSecret: Bool
    /// How often this entry has changed.
    public let version: Int
    /// The environment's revision that this value came with.
    public let revision: Int

    /// Makes an entry.
    public init(name: String, value: String, isSecret: Bool, version: Int, revision: Int) {
        self.name = name
        self.value = value
        self.isSecret = isSecret
        self.version = version
        self.revision = revision
    }
}

/// A variable or a secret with everything that the service knows about it.
public struct EntryDetails: Sendable, Hashable, Codable {
    /// The name, unique in its environment.
    public let name: String
    /// The value; nil for a secret that the token may not read.
    public var value: String?
    /// Whether it is a secret.
    public let isSecret: Bool
    /// How often this entry has changed.
    public let version: Int
    /// The environment's revision of its last change.
    public let revision: Int
    /// What its last writer noted.
    public let note: String?
    /// Whether snapshots and watchers see it.
    public let enabled: Bool?
    /// When it was changed, RFC 3339.
    public let updatedAt: String?
    /// Who changed it.
    public let updatedBy: String?
}

/// A value to be written.
public struct EntryAssignment: Sendable, Hashable, Codable {
    /// The name.
    public var name: String
    /// The new value.
    public var value: String
    /// The kind: nil keeps a known entry's kind and makes a new one a variable; a kind that is not the entry's own is refused.
    public var isSecret: Bool?

    /// Makes an assignment.
    public init(_ name: String, _ value: String, isSecret: Bool? = nil) {
        self.name = name
        self.value = value
        self.isSecret = isSecret
    }
}

/// The answer to a mutation.
public struct MutationResult: Sendable, Hashable, Codable {
    /// The environment's revision afterwards.
    public let revision: Int
    /// What the mutation changed; empty where everything was as asked already.
    public let changes: [WatchChange]
}
