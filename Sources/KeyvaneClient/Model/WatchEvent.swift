// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What a watch tells.
public enum WatchEvent: Sendable, Equatable {
    /// A connection is open; the state or the missed changes follow.
    case connected(WatchConnection)
    /// The whole state: it takes the place of everything known before.
    case snapshot(WatchSnapshot)
    /// What changed since the event before. An empty list says that nothing was missed.
    case changes(WatchChanges)
    /// The connection is gone, and another one will be tried.
    case disconnected(WatchInterruption)
}

/// A connection to a gateway.
public struct WatchConnection: Sendable, Hashable, Decodable {
    /// The connection's name on the server.
    public let connection: String
    /// The gateway's name.
    public let gateway: String

    /// Makes a connection.
    public init(connection: String, gateway: String) {
        self.connection = connection
        self.gateway = gateway
    }
}

/// Why a connection ended.
public struct WatchInterruption: Sendable, Equatable {
    /// What happened.
    public let error: ClientError
    /// When the next attempt is made.
    public let retryAfter: Duration

    /// Makes an interruption.
    public init(error: ClientError, retryAfter: Duration) {
        self.error = error
        self.retryAfter = retryAfter
    }
}

/// All entries at one revision.
public struct WatchSnapshot: Sendable, Hashable, Decodable {
    /// `workspace/project/environment`.
    public let environment: String
    /// The environment's UUID.
    public let environmentId: String
    /// The revision of this state.
    public let revision: Int
    /// Where to resume from.
    public let cursor: WatchCursor
    /// The entries.
    public let entries: [ConfigurationEntry]

    /// Makes a snapshot.
    public init(environment: String, environmentId: String, revision: Int, cursor: WatchCursor, entries: [ConfigurationEntry]) {
        self.environment = environment
        self.environmentId = environmentId
        self.revision = revision
        self.cursor = cursor
        self.entries = entries
    }
}

/// Whole transactions that lead from one revision to another.
public struct WatchChanges: Sendable, Hashable, Decodable {
    /// `workspace/project/environment`.
    public let environment: String
    /// The environment's UUID.
    public let environmentId: String
    /// The revision that the changes start from. It is beyond the last event's revision where nothing between them is visible to this watch.
    public let previousRevision: Int
    /// The revision that they lead to.
    public let revision: Int
    /// Where to resume from.
    public let cursor: WatchCursor
    /// The changes by rising revision.
    public let changes: [WatchChange]

    /// Makes a list of changes.
    public init(
        environment: String,
        environmentId: String,
        previousRevision: Int,
        revision: Int,
        cursor: WatchCursor,
        changes: [WatchChange]
    ) {
        self.environment = environment
        self.environmentId = environmentId
        self.previousRevision = previousRevision
        self.revision = revision
        self.cursor = cursor
        self.changes = changes
    }
}

/// One change of one entry.
public struct WatchChange: Sendable, Hashable, Codable {
    /// What happened to an entry.
    public enum Operation: String, Sendable, Codable {
        /// It was made, changed or enabled.
        case set
        /// It was deleted, renamed away or disabled.
        case delete
    }

    /// What happened.
    public let op: Operation
    /// The entry's name.
    public let name: String
    /// The new value; nil for a delete, and for a secret in an answer to a token that may not read it.
    public let value: String?
    /// Whether it is a secret.
    public let isSecret: Bool
    /// The entry's version afterwards.
    public let version: Int
    /// The environment's revision of this change.
    public let revision: Int
    /// When it was committed, RFC 3339.
    public let at: String?
    /// Who changed it.
    public let by: String?

    /// Makes a change.
    public init(
        op: Operation,
        name: String,
        value: String?,
        isSecret: Bool,
        version: Int,
        revision: Int,
        at: String? = nil,
        by: String? = nil
    ) {
        self.op = op
        self.name = name
        self.value = value
        self.isSecret = isSecret
        self.version = version
        self.revision = revision
        self.at = at
        self.by = by
    }
}
