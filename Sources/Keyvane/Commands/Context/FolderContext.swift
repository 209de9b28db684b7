// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Yams

/// A folder's environment: `.keyvane.yaml` in it, or in the nearest folder above that has one. Meant to be checked in.
package struct FolderContext: Equatable {
    static let fileName = ".keyvane.yaml"

    package let environment: String
    package let path: String

    package init(environment: String, path: String) {
        self.environment = environment
        self.path = path
    }

    /// - Throws: where there is a file that says anything else than an environment.
    package static func nearest(to folder: String) throws(SettingsError) -> FolderContext? {
        var folder = URL(fileURLWithPath: folder).standardizedFileURL
        while true {
            let path = folder.appendingPathComponent(fileName).path
            if FileManager.default.fileExists(atPath: path) { return try read(path) }
            guard folder.path != "/" else { return nil }
            folder.deleteLastPathComponent()
        }
    }

    private static func read(_ path: String) throws(SettingsError) -> FolderContext {
        let fields: [String: String]
        do {
            fields = try YAMLDecoder().decode([String: String].self, from: try String(contentsOfFile: path, encoding: .utf8))
        } catch {
            throw SettingsError("\(path) can't be read: write one line, environment: workspace/project/environment")
        }
        if let other = fields.keys.sorted().first(where: { $0 != "environment" }) {
            throw SettingsError(
                "\(path): '\(other)' doesn't belong here, only environment does. Server and token come from `keyvane login`, KEYVANE_URL and KEYVANE_TOKEN"
            )
        }
        guard let environment = fields["environment"] else {
            throw SettingsError("\(path): environment is missing: write environment: workspace/project/environment")
        }
        return FolderContext(environment: environment, path: path)
    }

    /// Writes the file of a folder.
    static func write(_ environment: String, to folder: String) throws -> String {
        let path = URL(fileURLWithPath: folder).appendingPathComponent(fileName).path
        try "environment: \(environment)\n".write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }
}
