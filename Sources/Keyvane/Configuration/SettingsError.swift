// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A setting that is missing or can't be used; its text names the key and the remedy, never a secret's value.
package struct SettingsError: Error, CustomStringConvertible {
    package let description: String
    /// nil where it isn't one's alone.
    let setting: Setting?

    init(_ setting: Setting, _ problem: String) {
        description = "\(setting.key) (\(setting.variable), --\(setting.flag)): \(problem)"
        self.setting = setting
    }

    init(_ problem: String) {
        description = problem
        setting = nil
    }
}

/// All that is wrong with them.
package struct SettingsFaults: Error, CustomStringConvertible {
    package let faults: [SettingsError]

    init(_ faults: [SettingsError]) {
        self.faults = faults
    }

    package var description: String { faults.map(\.description).joined(separator: "\nkeyvane: ") }
}

extension Setting {
    /// kebab-case, as on the command line.
    var flag: String { key.map { $0.isUppercase ? "-\($0.lowercased())" : String($0) }.joined() }
}
