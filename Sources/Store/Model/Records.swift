// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

package struct WorkspaceRecord: Hashable, Sendable {
    package let id: UUID
    package let slug: String
    package let name: String
    package let description: String
    package let createdAt: Timestamp
    package let updatedAt: Timestamp
    /// Counts the changes of the record itself.
    package let version: Int64

    /// What `If-Match` is compared with.
    package var tag: String { String(version) }
}

package struct ProjectRecord: Hashable, Sendable {
    package let id: UUID
    package let workspaceID: UUID
    package let workspace: String
    package let slug: String
    package let name: String
    package let description: String
    package let createdAt: Timestamp
    package let updatedAt: Timestamp
    package let version: Int64

    package var tag: String { String(version) }
}

package struct EnvironmentRecord: Hashable, Sendable {
    package let id: UUID
    package let projectID: UUID
    package let path: EnvironmentPath
    package let name: String
    package let description: String
    package let revision: Int64
    package let mark: UInt32
    package let createdAt: Timestamp
    /// The last change of an entry, or of the environment's own fields.
    package let updatedAt: Timestamp
    package let version: Int64

    /// The record tells the revision too, so it is another one after each change of an entry.
    package var tag: String { "\(version).\(revision)" }
    package var cursor: Cursor { Cursor(revision: revision, mark: mark) }
}

extension UUID {
    /// The form that travels and that PostgreSQL writes.
    package var lowercased: String { uuidString.lowercased() }
}
