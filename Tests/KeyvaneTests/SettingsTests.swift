// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Keyvane
import Testing

@Suite struct SettingsTests {
    /// Rows of docs/configuration.md by key: environment, type, unit, default, who uses it, what another value needs, meaning.
    private func documented() throws -> [String: [String]] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("docs/configuration.md"), encoding: .utf8)
        var rows: [String: [String]] = [:]
        for line in text.split(separator: "\n") where line.contains("`KEYVANE_") && line.hasPrefix("| `") {
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).map {
                $0.trimmingCharacters(in: CharacterSet(charactersIn: " `"))
            }
            rows[cells[1]] = Array(cells[2...8])
        }
        return rows
    }

    private func setting(_ key: String) throws -> Setting {
        try #require(Setting.all.first { $0.key == key })
    }

    @Test func theDocumentedTableIsTheCode() throws {
        let rows = try documented()
        #expect(Set(rows.keys) == Set(Setting.all.map(\.key)))
        for setting in Setting.all {
            let roles = setting.roles == RoleKind.allCases ? "all" : setting.roles.map(\.rawValue).joined(separator: ", ")
            #expect(
                rows[setting.key] == [
                    setting.variable, setting.kind.name, setting.kind.unit, setting.fallback ?? "", roles,
                    setting.isReloadable ? "reload" : "restart", setting.summary,
                ]
            )
        }
    }

    private static let origins: [(String, Set<String>?)] = [
        ("*", ["*"]), ("HTTPS://A.example:8443", ["https://a.example:8443"]), ("http://a, https://b ,*", ["http://a", "https://b", "*"]),
        ("", []), ("https://a/", nil), ("a.example", nil), ("ftp://a", nil), ("https://", nil), ("https://a,b", nil),
    ]

    @Test(arguments: origins) func originsAreWrittenAsBrowsersSendThem(_ text: String, _ origins: Set<String>?) throws {
        let settings = try Settings(flags: [try setting("origins"): text], environment: [:], file: nil)
        guard let origins else {
            let error = #expect(throws: SettingsError.self) { try settings.origins() }
            #expect(error?.description.contains("is no origin: write https://HOST[:PORT]") == true)
            return
        }
        #expect(try settings.origins() == origins)
    }

    private static let counts: [(String, Int?)] = [
        ("1", 1), ("10000", 10_000), ("10001", nil), ("0", nil), ("-1", nil), ("1.5", nil), ("many", nil), ("99999999999999999999", nil),
    ]

    @Test(arguments: counts) func aCountIsPositiveAndWithinItsLimit(_ text: String, _ count: Int?) throws {
        let setting = try setting("maximumEnvironments")
        let settings = try Settings(flags: [setting: text], environment: [:], file: nil)
        guard let count else {
            #expect(throws: SettingsError.self) { try settings.count(setting) }
            return
        }
        #expect(try settings.count(setting) == count)
    }

    private static let ranges: [(String, Int?)] = [
        ("", 0), ("10.0.0.0/8", 1), ("10.0.0.0/8, fd00::/8 ,127.0.0.1,unix:", 4), ("10.0.0.0/33", nil), ("balancer.internal", nil),
        ("10.0.0.0/8 fd00::/8", nil), ("*", nil),
    ]

    @Test(arguments: ranges) func proxiesAreAddresses(_ text: String, _ count: Int?) throws {
        let setting = try setting("trustedProxies")
        let settings = try Settings(flags: [setting: text], environment: [:], file: nil)
        guard let count else {
            let error = #expect(throws: SettingsError.self) { try settings.addressRanges(setting) }
            #expect(error?.description.contains("is no address range") == true)
            return
        }
        #expect(try settings.addressRanges(setting).count == count)
    }

    @Test func flagsWinOverVariablesOverTheFile() throws {
        let setting = try setting("messageRate")
        let file = try TemporaryFile("messageRate: 3\norigins: [https://a, 'https://b']\nname:\nloops: ~\n")
        func rate(_ flags: [Setting: String], _ environment: [String: String]) throws -> Int? {
            try Settings(flags: flags, environment: environment, file: file.path).count(setting)
        }
        #expect(try rate([setting: "1"], [setting.variable: "2"]) == 1)
        #expect(try rate([:], [setting.variable: "2"]) == 2)
        #expect(try rate([:], [setting.variable: ""]) == 3)
        let settings = try Settings(flags: [:], environment: [:], file: file.path)
        #expect(try settings.origins() == ["https://a", "https://b"] && settings.count(self.setting("loops")) == nil)
    }

    private static let files: [(String, String)] = [
        ("mesageRate: 3\n", ":1: 'mesageRate' is no key; did you mean 'messageRate'?"),
        ("\nlog_level: info\n", ":2: 'log_level' is no key; did you mean 'logLevel'?"), ("quite: other\n", ":1: 'quite' is no key"),
        ("messageRate: [1, 2]\n", "messageRate (KEYVANE_MESSAGE_RATE, --message-rate)"), ("loops: { a: b }\n", "takes one value"),
        ("rootToken: \"never shown\n", "is not YAML"), ("- never shown\n", "no list of `key: value` lines"),
        ("loops: 1\nloops: 2\n", "'loops' is there twice"),
    ]

    @Test(arguments: files) func whatAFileMayNotSayIsNamed(_ text: String, _ words: String) throws {
        let file = try TemporaryFile(text)
        let error = #expect(throws: SettingsFaults.self) { try Settings(flags: [:], environment: [:], file: file.path) }
        #expect(error?.description.contains(words) == true && error?.description.contains("never shown") == false, "\(error as Any)")
    }

    @Test func everyFaultOfAFileIsFoundAtOnce() throws {
        let file = try TemporaryFile("lisen: a\nlogLevl: b\n")
        let error = #expect(throws: SettingsFaults.self) { try Settings(flags: [:], environment: [:], file: file.path) }
        #expect(error?.faults.count == 2)
    }

    /// For each key a value that can't be used, with `never-shown` in it where it is a secret.
    private static let bad: [String: String] = [
        "listen": "nowhere", "tlsCertificate": "/no/such.pem", "tlsKey": "/no/such.pem", "tlsClientCa": "/no/such.pem",
        "postgres": "postgres://u:never-shown@[h/d", "databaseTimeout": "61s", "redis": "http://:never-shown@h",
        "masterKeys": "never-shown", "masterKeysFile": "/no/such.keys", "rootToken": "never-shown", "advertise": "h",
        "drainDelay": "1 week",
        "maximumBody": "1MB", "maximumImport": "0", "origins": "a.example", "trustedProxies": "10.0.0.0/33", "failedLogins": "0",
        "maximumConnections": "1000000000",
        "maximumConnectionsPerToken": "-1", "handshakeRate": "1000001", "maximumMessage": "16777217", "maximumEnvironments": "10001",
        "messageRate": "60001", "keepChanges": "23h", "keepAudit": "1", "loops": "0", "logLevel": "loud", "logFormat": "xml",
        "stickyKeys": "never-shown", "accessLog": "yes", "discover": "never-shown", "admin": "x",
    ]

    @Test(arguments: RoleKind.allCases) func everyBadValueIsFoundAtOnceByItsKey(_ role: RoleKind) throws {
        let own = Setting.all.filter { $0.roles.contains(role) }
        // Any text is a name.
        #expect(Set(Setting.all.map(\.key)).subtracting(Self.bad.keys) == ["name", "cluster", "changeChannel"])
        let environment = Dictionary(
            uniqueKeysWithValues: Setting.all.compactMap { setting in Self.bad[setting.key].map { (setting.variable, $0) } }
        )
        let faults = try Settings(flags: [:], environment: environment, file: nil).faults(of: role).map(\.description)
        for setting in own where Self.bad[setting.key] != nil {
            #expect(faults.contains { $0.hasPrefix("\(setting.key) (\(setting.variable), --") }, "\(setting.key)")
        }
        #expect(!faults.joined().contains("never-shown"))
        #expect(faults.count == own.filter { Self.bad[$0.key] != nil }.count, "\(faults)")
    }

    @Test func whatARoleNeedsIsNamed() throws {
        let none = try Settings(flags: [:], environment: [:], file: nil)
        #expect(none.faults(of: .balancer).isEmpty)
        for role in [RoleKind.api, .gateway] {
            #expect(none.faults(of: role).map { $0.description.prefix { $0 != " " } } == ["postgres", "masterKeys"])
        }
        let half = try Settings(
            flags: [:],
            environment: [
                "KEYVANE_POSTGRES": "postgres://h/d", "KEYVANE_MASTER_KEYS": "k1:\(Data(count: 32).base64EncodedString())",
                "KEYVANE_LISTEN": "unix:/x", "KEYVANE_TLS_KEY": #filePath,
            ],
            file: nil
        )
        #expect(half.faults(of: .api).map { $0.description.prefix { $0 != " " } } == ["tlsKey", "listen"])
    }

    @Test func variablesThatNobodyReadsAreTold() {
        let source = SettingsSource(
            role: .api,
            flags: [:],
            environment: [
                "KEYVANE_LOGLEVEL": "x", "KEYVANE_URL": "x", "KEYVANE_LOOPS": "1", "OTHER": "x", "KEYVANE_WEATHER_FORECAST": "x",
            ],
            file: nil
        )
        #expect(source.unknownVariables == ["KEYVANE_LOGLEVEL (KEYVANE_LOG_LEVEL?)", "KEYVANE_WEATHER_FORECAST"])
    }
}

/// Removed with its last reference.
private final class TemporaryFile {
    let path = "/tmp/keyvane-settings-\(UUID().uuidString)"

    init(_ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
