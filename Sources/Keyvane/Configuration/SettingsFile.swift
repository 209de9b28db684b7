// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Foundation
import Yams

/// The YAML file of an API or gateway: keys of one level. Every fault of it is found in one reading, none with a value.
enum SettingsFile {
    static func read(_ path: String) throws(SettingsFaults) -> [Setting: String] {
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw SettingsFaults([SettingsError("the configuration file \(path) can't be read: \(error.localizedDescription)")])
        }
        let root: Node?
        do {
            // Every scalar stays as it is written.
            root = try Yams.Parser(yaml: text, resolver: .basic, encoding: .utf8).singleRoot()
        } catch {
            throw SettingsFaults([SettingsError("\(path)\(reason(error))")])
        }
        // A file of comments alone is one without settings.
        guard let root, root.scalar?.string.isEmpty != true else { return [:] }
        guard let mapping = root.mapping else {
            throw SettingsFaults([SettingsError("\(path) is no list of `key: value` lines")])
        }
        var values: [Setting: String] = [:]
        var faults: [SettingsError] = []
        for (key, value) in mapping {
            let place = "\(path):\(key.mark?.line ?? 0)"
            let word = key.scalar?.string ?? ""
            guard let setting = Setting.all.first(where: { $0.key == word }) else {
                let near = NearestKey.find(word, among: Setting.all.map(\.key)).map { "; did you mean '\($0)'?" } ?? ""
                faults.append(SettingsError("\(place): '\(word)' is no key\(near)"))
                continue
            }
            guard let text = self.text(value, isList: setting.kind.isList) else {
                faults.append(
                    SettingsError(setting, "\(place): takes \(setting.kind.isList ? "one value or a list of them" : "one value")")
                )
                continue
            }
            values[setting] = text
        }
        guard faults.isEmpty else { throw SettingsFaults(faults) }
        return values
    }

    private static func text(_ node: Node, isList: Bool) -> String? {
        if let scalar = node.scalar { return scalar.style == .plain && ["~", "null"].contains(scalar.string) ? "" : scalar.string }
        guard isList, let members = node.sequence?.map(\.scalar?.string), !members.contains(nil) else { return nil }
        return members.compactMap { $0 }.joined(separator: ",")
    }

    /// The library's own words, without what it would add of the document: a secret may stand there.
    private static func reason(_ error: any Error) -> String {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _)?, .parser(_, let problem, let mark, _)?, .composer(_, let problem, let mark, _)?:
            ":\(mark.line): is not YAML: \(problem)"
        case .duplicatedKeysInMapping(let keys, let context)?:
            ":\(context.mark.line): the key '\(keys.first ?? "")' is there twice: remove one"
        case .reader?: " has bytes that are not text in UTF-8"
        case _: " can't be read as YAML"
        }
    }
}
