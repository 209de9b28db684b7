// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Foundation
import Logging
package import Reactor

/// The settings of one process. Immutable.
package struct Settings: Sendable {
    private let reader: ConfigReader

    /// - Parameters:
    ///   - flags: what the command line gave.
    ///   - file: a YAML file; its keys are those of `Setting.all`.
    package init(flags: [Setting: String], environment: [String: String], file: String?) throws(SettingsFaults) {
        let variables = environment.compactMap { name, value -> (String, String)? in
            // Empty is not set: what comes after it counts.
            name.hasPrefix("KEYVANE_") && !value.isEmpty ? (String(name.dropFirst("KEYVANE_".count)), value) : nil
        }
        var providers: [any ConfigProvider] = [
            InMemoryProvider(name: "command line", values: Self.values(flags)),
            EnvironmentVariablesProvider(environmentVariables: Dictionary(variables) { first, _ in first }),
        ]
        if let file { providers.append(InMemoryProvider(name: file, values: Self.values(try SettingsFile.read(file)))) }
        reader = ConfigReader(providers: providers)
    }

    private static func values(_ texts: [Setting: String]) -> [AbsoluteConfigKey: ConfigValue] {
        let pairs = texts.filter { !$0.value.isEmpty }.map {
            (AbsoluteConfigKey([$0.key.key]), ConfigValue(.string($0.value), isSecret: $0.key.isSecret))
        }
        return Dictionary(pairs) { first, _ in first }
    }

    /// The text as set, or the default; nil where there is neither. Empty counts as not set.
    func text(_ setting: Setting) -> String? {
        let text = reader.string(forKey: ConfigKey([setting.key]), isSecret: setting.isSecret)
        return text.flatMap { $0.isEmpty ? nil : $0 } ?? setting.fallback
    }

    func required(_ setting: Setting) throws -> String {
        guard let text = text(setting) else { throw SettingsError(setting, "is required: \(setting.summary)") }
        return text
    }

    func endpoint(_ setting: Setting, fallback: String? = nil) throws -> Endpoint {
        let text = try text(setting) ?? fallback ?? required(setting)
        do {
            return try Endpoint(parsing: text)
        } catch {
            throw SettingsError(setting, error.message)
        }
    }

    /// The files of a role's own TLS; nil where it is plain.
    func serverTLS() throws -> (certificate: String, key: String, clientAuthorities: String?)? {
        guard let certificate = text(.tlsCertificate) else {
            for setting in [Setting.tlsKey, .tlsClientCa] where text(setting) != nil {
                throw SettingsError(setting, "means nothing without tlsCertificate")
            }
            return nil
        }
        return (certificate, text(.tlsKey) ?? certificate, text(.tlsClientCa))
    }

    /// A positive whole number.
    package func count(_ setting: Setting, atMost limit: Int = Int.max) throws -> Int? {
        guard let text = text(setting) else { return nil }
        try check(setting, text)
        guard let number = Int(text), number <= limit else { throw SettingsError(setting, "must be at most \(limit)") }
        return number
    }

    /// In lower case; `*` alone is all of them.
    package func origins() throws -> Set<String> {
        let text = text(.origins) ?? ""
        try check(.origins, text)
        return Set(SettingKind.origins(in: text))
    }

    package func addressRanges(_ setting: Setting) throws -> [AddressRange] {
        let text = text(setting) ?? ""
        try check(setting, text)
        return SettingKind.ranges(in: text).compactMap { AddressRange($0) }
    }

    /// `500ms`, `6s`, `1m`, `90d`; a number without a unit is seconds.
    func duration(_ setting: Setting) throws -> Duration {
        let text = try required(setting)
        try check(setting, text)
        guard let duration = Duration(reading: text) else { throw SettingsError(setting, "'\(text)' is no duration") }
        return duration
    }

    /// How long something is kept; nil is for ever.
    func retention(_ setting: Setting) throws -> Duration? {
        text(setting) == nil ? nil : try duration(setting)
    }

    func logLevel() throws -> Logger.Level {
        let text = try required(.logLevel)
        try check(.logLevel, text)
        return Logger.Level(rawValue: text) ?? .info
    }

    /// - Throws: what the kind of the setting has against the text.
    private func check(_ setting: Setting, _ text: String) throws {
        if let problem = setting.kind.problem(with: text) { throw SettingsError(setting, problem) }
    }

    /// True for JSON lines.
    func logsAsJSON(onTerminal: Bool) throws -> Bool {
        guard let text = text(.logFormat) else { return !onTerminal }
        try check(.logFormat, text)
        return text == "json"
    }

    /// The master keys' text from the variable or the file.
    func masterKeys() throws -> String {
        if let text = text(.masterKeys) { return text }
        guard let path = text(.masterKeysFile) else {
            throw SettingsError(.masterKeys, "is required: make one with `keyvane keys generate` and give every API and gateway the same")
        }
        do {
            let text = try String(contentsOfFile: path, encoding: .utf8)
            // A key a line is easier to edit while keys are rotated; a line that begins with `#` is a comment.
            let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
            let keys = lines.filter { !$0.isEmpty && !$0.hasPrefix("#") }
            return keys.map { $0.hasSuffix(",") ? String($0.dropLast()) : $0 }.joined(separator: ",")
        } catch {
            throw SettingsError(.masterKeysFile, "\(path) can't be read: \(error.localizedDescription)")
        }
    }
}

extension Duration {
    init?(reading text: String) {
        let units: [(suffix: String, milliseconds: Double)] = [
            ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("", 1000),
        ]
        for unit in units where text.hasSuffix(unit.suffix) {
            guard let number = Double(text.dropLast(unit.suffix.count)), number >= 0, number.isFinite, number < 1e9 else { continue }
            self = .microseconds(Int64(number * unit.milliseconds * 1000))
            return
        }
        return nil
    }
}
