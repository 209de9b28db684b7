// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import NIOCore
import Store

/// The routes that keyshade's clients read from, in its shapes. It knows no workspace in a path, so the slugs are looked for in all that
/// the token's grants reach.
struct KeyshadeRoutes: Sendable {
    let store: ConfigurationStore

    var routes: [APIRoute] {
        [
            .authorized(.get, "/api/variable/{p}/{e}") { try await list($0, .variable) },
            .authorized(.get, "/api/secret/{p}/{e}") { try await list($0, .secret) },
            // Its client compares the text.
            .open(.get, "/api/health") { _, _ in
                Response(status: .ok, headers: [.contentType: "text/plain"], body: .init(byteBuffer: ByteBuffer(string: "UP")))
            },
        ]
    }

    /// GET: `[{"name","value","isPlaintext":true}]`; secrets only where the token may read them.
    private func list(_ call: AuthorizedCall, _ kind: EntryKind) async throws -> Response {
        _ = try call.query()
        let scope = try await environment(call)
        try scope.requireRead()
        let snapshot = try await store.snapshot(environmentID: scope.record.id)
        var secrets = SecretReader(store, scope)
        var shown: [(name: String, value: String)] = []
        for entry in snapshot.entries where entry.kind == kind && scope.access.canRead(entry.name) {
            guard let value = try await secrets.text(entry.value, name: entry.name, version: entry.version) else { continue }
            shown.append((entry.name, value))
        }
        try await call.recordRead(of: secrets.revealed, in: scope)
        return .array(shown, headers: .configuration.tagged(snapshot.revision)) { item, entry in
            item.member("name", entry.name)
            item.member("value", entry.value)
            item.member("isPlaintext", true)
        }
    }

    /// - Throws: 404 for none, 409 for several.
    private func environment(_ call: AuthorizedCall) async throws -> EnvironmentScope {
        let workspaces = Set(call.token.grants.map(\.workspace))
        let found = try await store.environments(
            project: call.parameter("p"),
            environment: call.parameter("e"),
            in: workspaces.contains("*") ? nil : workspaces.sorted()
        )
        let scopes = found.compactMap { record in
            call.token.access(to: record.path).map { EnvironmentScope(record: record, access: $0) }
        }
        guard let scope = scopes.first else { throw Problem.notFound }
        guard scopes.count == 1 else {
            let places = scopes.map(\.record.path.description).joined(separator: ", ")
            throw Problem(.conflict, "This token reaches several environments of these slugs: \(places). Use a token for one workspace.")
        }
        return scope
    }
}
