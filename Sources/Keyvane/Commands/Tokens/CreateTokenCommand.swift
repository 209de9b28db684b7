// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import KeyvaneClient
import NIOHTTP1
import Store

/// `keyvane token create`: over REST, or the very first one beside it.
struct CreateTokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a token and print it, this once.",
        discussion: """
            A grant is SCOPE:PERMISSIONS[:NAMES], its scope a workspace, project or environment (* for all workspaces), its permissions out of
            read, read_secrets, write, admin. Nobody grants more than he has. --root makes the first token: it needs an API's settings,
            KEYVANE_POSTGRES, and KEYVANE_MASTER_KEYS or a file of them.

              keyvane token create --grant acme/web/production:read,read_secrets --description "web in production" --expires 90d
              keyvane token create --grant 'acme/web:read,write:FEATURE_*'
              export KEYVANE_TOKEN=$(keyvane token create --root)
            """
    )

    @Option(help: "SCOPE:PERMISSIONS[:NAMES]; may be repeated.") var grant: [String] = []
    @Option(help: "What it is for.") var description: String?
    @Option(help: "How long it lasts, such as 12h or 90d; default: for ever.") var expires: String?
    @Flag(help: "Every permission everywhere, made beside REST with the database.") var root = false
    @OptionGroup var service: ServiceOptions
    @OptionGroup var database: DatabaseOptions
    @Flag(help: "The token and its description as JSON.") var json = false

    func validate() throws {
        guard root != !grant.isEmpty else {
            throw ValidationError("write --grant SCOPE:PERMISSIONS, or --root for the first token")
        }
        guard !root || expires == nil else {
            throw ValidationError("--expires has no meaning with --root: make a narrower token over REST")
        }
    }

    func run() async throws {
        guard !root else { return try await createRoot() }
        let request = NewToken(
            description: description,
            grants: try grant.map { try GrantText($0).grant },
            expiresAt: try expires.map(Self.expiry)
        )
        let made = try await service.client().call(.POST, "/v1/tokens", body: request, as: MadeToken.self)
        guard !json else { return try Terminal.json(made) }
        Terminal.line(made.token)
        Terminal.note("It is shown this once. To take it back: keyvane token revoke \(made.id)")
    }

    private func createRoot() async throws {
        let description = description ?? "made by keyvane token create --root"
        let (record, text) = try await Composition.withRunningStore(try database.settings()) { store in
            try await store.createToken(description: description, grants: [.root], expiresAt: nil, isRoot: true, createdBy: "root")
        }
        Terminal.line(text)
        Terminal.note("It may do everything and is shown this once. To take it back: keyvane token revoke \(record.id)")
    }

    private static func expiry(_ text: String) throws -> String {
        guard let duration = Duration(reading: text), duration > .zero else {
            throw SettingsError("--expires: '\(text)' is no duration: write 12h or 90d")
        }
        return Date(timeIntervalSinceNow: Double(duration.components.seconds)).formatted(.iso8601)
    }

    private struct NewToken: Encodable {
        let description: String?
        let grants: [TokenDescription.Grant]
        let expiresAt: String?
    }

    private struct MadeToken: Codable {
        let id: String
        let token: String
        let description: String?
        let grants: [TokenDescription.Grant]
        let expiresAt: String?
    }
}
