// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The vocabulary of the product as values: what callers pass in and get back.
// Flows through: requests from the API and the gateway as checked values, rows of PostgreSQL as records.
// Owner: everybody; all of it is immutable and Sendable.
// Must hold: a value of these types that came from a person has passed `InputRules`; secrets appear only as sealed text,
// but for the one field a caller sets (`EntryChange`).

/// An environment's place: `workspace/project/environment`, three slugs.
package struct EnvironmentPath: Hashable, Sendable, CustomStringConvertible {
    package let workspace: String
    package let project: String
    package let environment: String

    package init(workspace: String, project: String, environment: String) throws(StoreError) {
        self.workspace = try InputRules.slug(workspace, field: "workspace")
        self.project = try InputRules.slug(project, field: "project")
        self.environment = try InputRules.slug(environment, field: "environment")
    }

    /// For rows of PostgreSQL, which were checked when they were written.
    init(stored workspace: String, _ project: String, _ environment: String) {
        self.workspace = workspace
        self.project = project
        self.environment = environment
    }

    package init(parsing text: String) throws(StoreError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3 else {
            throw StoreError(.invalid, "an environment is written workspace/project/environment", field: "environment")
        }
        try self.init(workspace: parts[0], project: parts[1], environment: parts[2])
    }

    package var description: String { "\(workspace)/\(project)/\(environment)" }
}
