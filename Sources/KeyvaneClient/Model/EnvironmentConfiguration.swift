// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// All that an environment holds at one revision, as far as the token and the name filter show it. A plain value: keep it, compare it, store it.
public struct EnvironmentConfiguration: Sendable, Hashable {
    /// `workspace/project/environment`.
    public let environment: String
    /// The environment's UUID.
    public let environmentId: String
    /// The revision of this state.
    public private(set) var revision: Int
    /// Where to resume from.
    public private(set) var cursor: WatchCursor
    /// How many secrets the token may not read; nil where the state came from a watch, which doesn't tell.
    public let withheld: Int?
    private var entriesByName: [String: ConfigurationEntry]

    /// Makes a configuration of a snapshot.
    public init(_ snapshot: WatchSnapshot) {
        environment = snapshot.environment
        environmentId = snapshot.environmentId
        revision = snapshot.revision
        cursor = snapshot.cursor
        withheld = nil
        entriesByName = Self.byName(snapshot.entries)
    }

    /// The value under a name.
    public subscript(name: String) -> String? { entriesByName[name]?.value }

    /// The entry under a name.
    public func entry(_ name: String) -> ConfigurationEntry? { entriesByName[name] }

    /// All entries by name, in ascending order.
    public var entries: [ConfigurationEntry] { entriesByName.values.sorted { $0.name < $1.name } }

    /// The values by name, as an application's environment variables would hold them.
    public var values: [String: String] { entriesByName.mapValues(\.value) }

    /// Whether there is no entry.
    public var isEmpty: Bool { entriesByName.isEmpty }

    /// Brings the configuration to the state after a frame of changes.
    public mutating func apply(_ changes: WatchChanges) {
        for change in changes.changes {
            switch change.op {
            case .set:
                entriesByName[change.name] = ConfigurationEntry(
                    name: change.name,
                    value: change.value ?? "",
                    isSecret: change.isSecret,
                    version: change.version,
                    revision: change.revision
                )
            case .delete:
                entriesByName[change.name] = nil
            }
        }
        revision = changes.revision
        cursor = changes.cursor
    }

    private static func byName(_ entries: [ConfigurationEntry]) -> [String: ConfigurationEntry] {
        Dictionary(entries.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    }
}

extension EnvironmentConfiguration: Codable {
    private enum CodingKeys: String, CodingKey {
        case environment, environmentId, revision, cursor, entries, withheld
    }

    /// Reads the form that the REST interface answers with.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        environment = try container.decode(String.self, forKey: .environment)
        environmentId = try container.decode(String.self, forKey: .environmentId)
        revision = try container.decode(Int.self, forKey: .revision)
        cursor = try container.decode(WatchCursor.self, forKey: .cursor)
        withheld = try container.decodeIfPresent(Int.self, forKey: .withheld)
        entriesByName = Self.byName(try container.decode([ConfigurationEntry].self, forKey: .entries))
    }

    /// Writes the form that the REST interface answers with.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(environment, forKey: .environment)
        try container.encode(environmentId, forKey: .environmentId)
        try container.encode(revision, forKey: .revision)
        try container.encode(cursor, forKey: .cursor)
        try container.encodeIfPresent(withheld, forKey: .withheld)
        try container.encode(entries, forKey: .entries)
    }
}
