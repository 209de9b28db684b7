// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What a token may do somewhere.
package enum Permission: String, Hashable, Sendable, Codable, CaseIterable {
    /// Every read; secrets without their values.
    case read
    /// The values of secrets too.
    case readSecrets = "read_secrets"
    case write
    case admin
}

/// A scope and what is allowed inside it. Absent parts mean all of them; `"*"` is every workspace.
package struct Grant: Hashable, Sendable, Codable {
    package let workspace: String
    package let project: String?
    package let environment: String?
    /// Globs that entry names must match; nil is every name.
    package let names: [String]?
    package let permissions: Set<Permission>

    package init(
        workspace: String,
        project: String? = nil,
        environment: String? = nil,
        names: [String]? = nil,
        permissions: Set<Permission>
    ) {
        self.workspace = workspace
        self.project = project
        self.environment = environment
        self.names = names
        self.permissions = permissions
    }

    /// Written by hand for the order of the permissions: equal grants are equal texts.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(workspace, forKey: .workspace)
        try container.encodeIfPresent(project, forKey: .project)
        try container.encodeIfPresent(environment, forKey: .environment)
        try container.encodeIfPresent(names, forKey: .names)
        try container.encode(Permission.allCases.filter(permissions.contains), forKey: .permissions)
    }

    /// Everything everywhere.
    package static let root = Grant(workspace: "*", permissions: Set(Permission.allCases))

    func covers(workspace: String) -> Bool {
        self.workspace == "*" || self.workspace == workspace
    }

    func covers(workspace: String, project: String) -> Bool {
        covers(workspace: workspace) && (self.project == nil || self.project == project)
    }

    func covers(_ path: EnvironmentPath) -> Bool {
        covers(workspace: path.workspace, project: path.project) && (environment == nil || environment == path.environment)
    }

    package func validate() throws(StoreError) {
        if workspace != "*" { try InputRules.slug(workspace, field: "workspace") }
        if let project { try InputRules.slug(project, field: "project") }
        if let environment { try InputRules.slug(environment, field: "environment") }
        guard environment == nil || project != nil else {
            throw StoreError(.invalid, "a grant that names an environment must name its project", field: "project")
        }
        guard !permissions.isEmpty else {
            throw StoreError(.invalid, "permissions must name at least one of read, read_secrets, write, admin", field: "permissions")
        }
        for (index, name) in (names ?? []).enumerated() where NameGlob(name) == nil {
            let allowed = "1 to 255 letters, digits, underscores, dots, hyphens, * and ?"
            throw StoreError(.invalid, "names must be globs of \(allowed)", field: "names/\(index)")
        }
    }
}
