// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// One fresh, empty database.
package struct PostgresDatabase: Sendable {
    package let name: String
    package let server: PostgresServer
    package var url: String { server.url(database: name) }

    @discardableResult
    package func sql(_ statements: String) async throws -> [String] {
        try await server.sql(statements, database: name)
    }

    package func dump() async throws -> String {
        try await server.dump(database: name)
    }
}

/// Lends the URL of a fresh database on this process's shared PostgreSQL, which starts with the first test that asks for one.
package func withPostgres<Value>(
    isolation: isolated (any Actor)? = #isolation,
    _ body: (_ url: String) async throws -> Value
) async throws -> Value {
    try await withPostgresDatabase { try await body($0.url) }
}

/// The same with a side door for SQL that the code under test doesn't run itself.
package func withPostgresDatabase<Value>(
    isolation: isolated (any Actor)? = #isolation,
    _ body: (PostgresDatabase) async throws -> Value
) async throws -> Value {
    let server = try await SharedPostgres.server.value
    return try await withDatabase(on: server, body)
}

/// A PostgreSQL for this test alone, which may be stopped and started.
package func withPrivatePostgres<Value>(
    isolation: isolated (any Actor)? = #isolation,
    _ body: (PostgresDatabase) async throws -> Value
) async throws -> Value {
    // Its shell ends it as soon as the last reference is gone.
    let server = try await PostgresServer.start()
    let database = PostgresDatabase(name: "keyvane_test", server: server)
    try await server.sql("CREATE DATABASE keyvane_test")
    return try await body(database)
}

private func withDatabase<Value>(
    on server: PostgresServer,
    isolation: isolated (any Actor)? = #isolation,
    _ body: (PostgresDatabase) async throws -> Value
) async throws -> Value {
    let database = PostgresDatabase(name: "test_\(UUID().uuidString.lowercased().filter { $0 != "-" })", server: server)
    try await server.sql("CREATE DATABASE \(database.name)")
    do {
        let value = try await body(database)
        try await server.sql("DROP DATABASE \(database.name) WITH (FORCE)")
        return value
    } catch {
        // The test's own error is the one to tell; the database goes with the server.
        _ = try? await server.sql("DROP DATABASE \(database.name) WITH (FORCE)")
        throw error
    }
}

private enum SharedPostgres {
    /// Every test that needs it waits for this task; it ends when the server is up, and the server with the process.
    static let server = Task { try await PostgresServer.start() }
}
