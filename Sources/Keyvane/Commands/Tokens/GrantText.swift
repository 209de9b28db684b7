// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import KeyvaneClient

/// A grant as it is written on a command line: `acme/web/production:read,read_secrets:FEATURE_*`.
package struct GrantText: Equatable {
    private static let permissions = ["read", "read_secrets", "write", "admin"]

    package let grant: TokenDescription.Grant

    package init(_ text: String) throws(SettingsError) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count) else {
            throw SettingsError("--grant: '\(text)' is none: write SCOPE:PERMISSIONS[:NAMES], such as acme/web/production:read,write")
        }
        let scope = parts[0].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (1...3).contains(scope.count), scope.allSatisfy({ !$0.isEmpty }) else {
            throw SettingsError("--grant: '\(parts[0])' is no scope: write *, acme, acme/web or acme/web/production")
        }
        let permissions = parts[1].split(separator: ",").map(String.init)
        for permission in permissions where !Self.permissions.contains(permission) {
            throw SettingsError("--grant: '\(permission)' is no permission: there are \(Self.permissions.joined(separator: ", "))")
        }
        guard !permissions.isEmpty else {
            throw SettingsError("--grant: '\(text)' permits nothing: there are \(Self.permissions.joined(separator: ", "))")
        }
        grant = TokenDescription.Grant(
            workspace: scope[0],
            project: scope.count > 1 ? scope[1] : nil,
            environment: scope.count > 2 ? scope[2] : nil,
            names: parts.count > 2 ? parts[2].split(separator: ",").map(String.init) : nil,
            permissions: permissions
        )
    }
}

extension TokenDescription.Grant {
    /// The same form, for a list.
    var text: String {
        let scope = [workspace, project, environment].compactMap { $0 }.joined(separator: "/")
        return "\(scope):\(permissions.joined(separator: ","))" + (names.map { ":" + $0.joined(separator: ",") } ?? "")
    }
}
