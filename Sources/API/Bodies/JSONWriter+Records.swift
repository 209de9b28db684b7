// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Store

/// The members of the documented objects, in the documented order.
extension JSONWriter {
    mutating func members(_ workspace: WorkspaceRecord) {
        member("id", workspace.id)
        member("slug", workspace.slug)
        member("name", workspace.name)
        member("description", workspace.description)
        member("createdAt", workspace.createdAt)
        member("updatedAt", workspace.updatedAt)
    }

    mutating func members(_ project: ProjectRecord) {
        member("id", project.id)
        member("workspace", project.workspace)
        member("slug", project.slug)
        member("name", project.name)
        member("description", project.description)
        member("createdAt", project.createdAt)
        member("updatedAt", project.updatedAt)
    }

    mutating func members(_ environment: EnvironmentRecord) {
        member("id", environment.id)
        member("environment", environment.path.description)
        member("workspace", environment.path.workspace)
        member("project", environment.path.project)
        member("slug", environment.path.environment)
        member("name", environment.name)
        member("description", environment.description)
        member("revision", environment.revision)
        member("cursor", environment.cursor.description)
        member("createdAt", environment.createdAt)
        member("updatedAt", environment.updatedAt)
    }

    /// - Parameter value: already cut to what the caller may see.
    mutating func members(_ entry: Entry, value: String?) {
        member("name", entry.name)
        member("value", value)
        member("isSecret", entry.kind == .secret)
        member("version", entry.version)
        member("revision", entry.revision)
        // A cleared note is an empty one in the store.
        member("note", entry.note.flatMap { $0.isEmpty ? nil : $0 })
        member("enabled", entry.enabled)
        member("updatedAt", entry.updatedAt)
        member("updatedBy", entry.updatedBy)
    }

    mutating func members(_ version: EntryVersion, value: String?) {
        member("version", version.version)
        member("value", value)
        member("op", version.op.rawValue)
        member("revision", version.revision)
        member("at", version.at)
        member("by", version.by)
        member("note", version.note.flatMap { $0.isEmpty ? nil : $0 })
    }

    mutating func members(_ entry: ExportedEntry) {
        member("name", entry.name)
        member("value", entry.value)
        member("isSecret", entry.isSecret)
        member("version", entry.version)
        member("revision", entry.revision)
    }

    /// As on the watch: a delete has no value; null stands for a secret that the caller may write but not read.
    mutating func members(_ change: Change, value: String?) {
        member("op", change.op.rawValue)
        member("name", change.name)
        if change.op == .set { member("value", value) }
        member("isSecret", change.kind == .secret)
        member("version", change.version)
        member("revision", change.revision)
        member("at", change.at)
        member("by", change.by)
    }

    mutating func members(_ token: TokenRecord) {
        member("id", token.id)
        member("description", token.description)
        member("grants", array: token.grants) { list, grant in
            list.object { $0.members(grant) }
        }
        member("expiresAt", token.expiresAt.map { Timestamp($0) })
        member("createdAt", Timestamp(token.createdAt))
        member("createdBy", token.createdBy)
        member("lastUsedAt", token.lastUsedAt.map { Timestamp($0) })
    }

    private mutating func members(_ grant: Grant) {
        member("workspace", grant.workspace)
        if let project = grant.project { member("project", project) }
        if let environment = grant.environment { member("environment", environment) }
        if let names = grant.names { member("names", array: names) { $0.value($1) } }
        // A set has no order of its own; the one of the documentation is used.
        member("permissions", array: Permission.allCases.filter(grant.permissions.contains)) { $0.value($1.rawValue) }
    }
}
