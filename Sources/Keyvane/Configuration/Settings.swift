// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Configuration
import Foundation
import Logging
import Reactor
import Store
import SystemPackage

/// A setting that is missing or can't be used; its text names the key and the remedy, never a secret's value.
package struct SettingsError: Error, CustomStringConvertible {
    package let description: String

    init(_ setting: Setting, _ problem: String) {
        description = "\(setting.key) (\(setting.variable), --\(setting.flag)): \(problem)"
    }

    init(_ problem: String) {
        description = problem
    }
}

extension Setting {
    /// kebab-case, as on the command line.
    var flag: String { key.map { $0.isUppercase ? "-\($0.lowercased())" : String($0) }.joined() }
}

/// The settings of one process. Immutable.
package struct Settings: Sendable {
    private let reader: ConfigReader

    /// - Parameters:
    ///   - flags: what the command line gave.
    ///   - file: a YAML file; its keys are those of `Setting.all`.
    package init(flags: [Setting: String], environment: [String: String], file: String?) async throws {
        let given = flags.map { (AbsoluteConfigKey([$0.key.key]), ConfigValue(.string($0.value), isSecret: $0.key.isSecret)) }
        let variables = environment.compactMap { name, value -> (String, String)? in
            name.hasPrefix("KEYVANE_") ? (String(name.dropFirst("KEYVANE_".count)), value) : nil
        }
        var providers: [any ConfigProvider] = [
            InMemoryProvider(name: "command line", values: Dictionary(given) { first, _ in first }),
            EnvironmentVariablesProvider(environmentVariables: Dictionary(variables) { first, _ in first }),
        ]
        if let file {
            do {
                providers.append(try await FileProvider<YAMLSnapshot>(filePath: FilePath(file)))
            } catch {
                throw SettingsError("the configuration file \(file) can't be read: \(error)")
            }
        }
        reader = ConfigReader(providers: providers)
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
        guard let number = Int(text), number > 0 else { throw SettingsError(setting, "'\(text)' is no positive whole number") }
        guard number <= limit else { throw SettingsError(setting, "must be at most \(limit)") }
        return number
    }

    /// In lower case; `*` alone is all of them.
    package func origins() throws -> Set<String> {
        let origins = (text(.origins) ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces).lowercased() }
        for origin in origins where origin != "*" {
            // A serialized origin has no path, and browsers send it just so (RFC 6454 section 6.2).
            let parts = origin.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0] == "http:" || parts[0] == "https:", parts[1].isEmpty, !parts[2].isEmpty else {
                throw SettingsError(.origins, "'\(origin)' is no origin: write https://HOST[:PORT] without a path, or *")
            }
        }
        return Set(origins)
    }

    /// `500ms`, `6s`, `1m`, `90d`; a number without a unit is seconds.
    func duration(_ setting: Setting) throws -> Duration {
        let text = try required(setting)
        guard let duration = Duration(reading: text) else {
            throw SettingsError(setting, "'\(text)' is no duration: write 500ms, 6s or 1m")
        }
        return duration
    }

    /// How long something is kept; nil is for ever.
    func retention(_ setting: Setting) throws -> Duration? {
        guard text(setting) != nil else { return nil }
        let duration = try duration(setting)
        guard duration >= RetentionPolicy.minimum else { throw SettingsError(setting, "must be at least 24h; leave it out to keep all") }
        return duration
    }

    func logLevel() throws -> Logger.Level {
        let text = try required(.logLevel)
        guard let level = Logger.Level(rawValue: text) else {
            throw SettingsError(.logLevel, "'\(text)' is none of: \(Setting.logLevel.summary)")
        }
        return level
    }

    /// True for JSON lines.
    func logsAsJSON(onTerminal: Bool) throws -> Bool {
        switch text(.logFormat) {
        case nil: return !onTerminal
        case "json": return true
        case "text": return false
        case .some(let other): throw SettingsError(.logFormat, "'\(other)' is neither json nor text")
        }
    }

    /// How long a request may wait for PostgreSQL.
    func databaseTimeout() throws -> Duration {
        let duration = try duration(.databaseTimeout)
        guard duration >= .seconds(1), duration <= .seconds(60) else { throw SettingsError(.databaseTimeout, "must be 1s to 60s") }
        return duration
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
