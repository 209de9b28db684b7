// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Keyvane
import KeyvaneClient
import Testing

/// Where a command's server, token and environment come from.
@Suite struct CommandContextTests {
    private let login = SavedLogin(url: "https://config.example.com/", token: "kv_saved")

    @Test func flagsWinOverVariablesOverFilesAndTheLogin() {
        let folder = FolderContext(environment: "of/the/folder", path: "/f/.keyvane.yaml")
        let alone = CommandContext(variables: [:], folder: folder, login: login)
        #expect(
            alone.url.text == "https://config.example.com" && alone.token?.text == "kv_saved" && alone.environment?.text == "of/the/folder"
        )
        let variables = ["KEYVANE_URL": "http://v", "KEYVANE_TOKEN": "kv_v", "KEYVANE_ENVIRONMENT": "of/a/variable"]
        let set = CommandContext(variables: variables, folder: folder, login: login)
        #expect(set.url.text == "http://v" && set.token?.text == "kv_v" && set.environment?.text == "of/a/variable")
        let flags = CommandContext(url: "http://f", environment: "of/a/flag", variables: variables, folder: folder, login: login)
        #expect(flags.url.source == "--url" && flags.environment?.source == "--environment" && flags.token?.source == "KEYVANE_TOKEN")
    }

    @Test func aSavedTokenGoesToItsOwnServerOnly() {
        #expect(CommandContext(url: "https://config.example.com", variables: [:], folder: nil, login: login).token?.text == "kv_saved")
        #expect(CommandContext(url: "https://evil.example.com", variables: [:], folder: nil, login: login).token == nil)
        #expect(CommandContext(variables: ["KEYVANE_URL": "http://config.example.com"], folder: nil, login: login).token == nil)
    }

    @Test func aFolderNamesAnEnvironmentAndNothingElse() throws {
        let root = "/tmp/keyvane-context-\(getpid())-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: root + "/a/b", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        try "environment: acme/web/production\n".write(toFile: root + "/.keyvane.yaml", atomically: true, encoding: .utf8)
        #expect(try FolderContext.nearest(to: root + "/a/b")?.environment == "acme/web/production")
        for text in ["url: https://evil.example.com\n", "environment: a/b/c\ntoken: kv_x\n", "just text\n", "{}\n"] {
            try text.write(toFile: root + "/a/.keyvane.yaml", atomically: true, encoding: .utf8)
            #expect(throws: SettingsError.self) { _ = try FolderContext.nearest(to: root + "/a/b") }
        }
    }

    @Test func aLoginThatOthersCanReadIsRefused() throws {
        let folder = "/tmp/keyvane-login-\(getpid())-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = SavedLogin.path(["XDG_CONFIG_HOME": folder])
        #expect(try SavedLogin.load(path) == nil)
        try login.save(path)
        #expect(try SavedLogin.load(path) == login)
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        chmod(path, 0o644)
        #expect(throws: SettingsError.self) { _ = try SavedLogin.load(path) }
    }

    @Test(arguments: [
        ("acme", "acme/web", "/v1/projects/acme/web"), ("", "acme//web", ""), ("", "Acme/web", ""), ("", "acme/web/x", ""),
        ("", "acme/-web", ""),
    ])
    func placesAreCheckedBeforeTheyBecomePaths(_ workspace: String, _ text: String, _ path: String) throws {
        guard path.isEmpty else {
            #expect(try Place(text, .project).path == path)
            return
        }
        #expect(throws: SettingsError.self) { _ = try Place(text, .project) }
    }

    @Test func grantsAsText() throws {
        let grant = try GrantText("acme/web/production:read,write:FEATURE_*,DB_*").grant
        #expect(grant.workspace == "acme" && grant.project == "web" && grant.environment == "production")
        #expect(grant.names == ["FEATURE_*", "DB_*"] && grant.permissions == ["read", "write"])
        for text in ["acme", "acme:", "acme:rea", "a//b:read", "a/b/c/d:read", "acme:read:x:y", ":read"] {
            #expect(throws: SettingsError.self, "\(text)") { _ = try GrantText(text) }
        }
    }
}
