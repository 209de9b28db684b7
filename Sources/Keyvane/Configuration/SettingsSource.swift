// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer

/// Where a process's settings come from, however often they are read: flags and environment stay, the file may have changed.
package struct SettingsSource: Sendable {
    let role: RoleKind
    let flags: [Setting: String]
    let environment: [String: String]
    let file: String?

    package init(role: RoleKind, flags: [Setting: String], environment: [String: String], file: String?) {
        self.role = role
        self.flags = flags
        self.environment = environment
        self.file = file
    }

    /// - Throws: everything that is wrong with them.
    package func read() throws(SettingsFaults) -> Settings {
        let settings = try Settings(flags: flags, environment: environment, file: file)
        try settings.check(for: role)
        return settings
    }

    /// Variables of our prefix that nobody reads, each with the one that may have been meant.
    package var unknownVariables: [String] {
        let known =
            Setting.all.map(\.variable) + [
                "KEYVANE_URL", "KEYVANE_TOKEN", "KEYVANE_ENVIRONMENT", "KEYVANE_ADMIN_USER", "KEYVANE_ADMIN_PASSWORD", "KEYVANE_ADMIN_CA",
            ]
        return environment.keys.filter { $0.hasPrefix("KEYVANE_") && !known.contains($0) }.sorted().map { name in
            NearestKey.find(name, among: known).map { "\(name) (\($0)?)" } ?? name
        }
    }
}
