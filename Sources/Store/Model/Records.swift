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

    package var cursor: Cursor { Cursor(revision: revision, mark: mark) }
}

extension UUID {
    /// The form that travels and that PostgreSQL writes.
    package var lowercased: String { uuidString.lowercased() }
}
