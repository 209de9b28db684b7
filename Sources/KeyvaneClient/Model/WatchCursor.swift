// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A place in an environment's history: a revision, and the mark that tells this history from another with the same numbers.
public struct WatchCursor: Sendable, Hashable {
    /// The revision.
    public let revision: Int
    private let mark: String?

    /// A place known by its number only.
    public init(revision: Int) {
        self.revision = revision
        mark = nil
    }

    /// Reads `57-9f3a01c2` or `57`.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let revision = Int(first), revision >= 0 else { return nil }
        self.revision = revision
        mark = parts.count > 1 ? String(parts[1]) : nil
    }
}

extension WatchCursor: CustomStringConvertible {
    /// `57-9f3a01c2`, or `57` where there is no mark.
    public var description: String { mark.map { "\(revision)-\($0)" } ?? String(revision) }
}

extension WatchCursor: Codable {
    /// Reads a number or a text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let revision = try? container.decode(Int.self) {
            self.init(revision: revision)
        } else if let cursor = WatchCursor(try container.decode(String.self)) {
            self = cursor
        } else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a cursor")
        }
    }

    /// Writes a number where only the revision is known, else the text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if mark == nil { try container.encode(revision) } else { try container.encode(description) }
    }
}
