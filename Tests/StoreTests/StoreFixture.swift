// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Reactor
import Store
import TestSupport
import Testing

/// A migrated, running store on a fresh database, and one environment in it.
struct StoreFixture {
    static let keys = "one:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    static let otherKeys = "one://///wQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    static let rootToken = "root-token-of-the-tests-0123456789-abcdef"

    let store: ConfigurationStore
    let database: PostgresDatabase
    let environment: EnvironmentRecord
    var environmentID: UUID { environment.id }

    static func with<Value>(
        readers: Int = 1,
        writers: Int = 1,
        requestTimeout: Duration = .seconds(20),
        isolation: isolated (any Actor)? = #isolation,
        _ body: (StoreFixture) async throws -> Value
    ) async throws -> Value {
        try await withPostgresDatabase { database in
            try await with(database, readers: readers, writers: writers, requestTimeout: requestTimeout, body)
        }
    }

    static func with<Value>(
        _ database: PostgresDatabase,
        url: String? = nil,
        readers: Int = 1,
        writers: Int = 1,
        requestTimeout: Duration = .seconds(20),
        isolation: isolated (any Actor)? = #isolation,
        _ body: (StoreFixture) async throws -> Value
    ) async throws -> Value {
        try await withStore(url: url ?? database.url, readers: readers, writers: writers, requestTimeout: requestTimeout) { store in
            _ = try await store.createWorkspace(slug: "acme", actor: "root")
            _ = try await store.createProject(workspace: "acme", slug: "web", actor: "root")
            let environment = try await store.createEnvironment(workspace: "acme", project: "web", slug: "production", actor: "root")
            return try await body(StoreFixture(store: store, database: database, environment: environment))
        }
    }

    /// Lends a store that is running; it ends with the body.
    static func withStore<Value>(
        url: String,
        keys: String = keys,
        readers: Int = 1,
        writers: Int = 1,
        requestTimeout: Duration = .seconds(20),
        isolation: isolated (any Actor)? = #isolation,
        _ body: (ConfigurationStore) async throws -> Value
    ) async throws -> Value {
        try await LoopGroup.withLoops(count: 1) { loops in
            let store = try make(url: url, keys: keys, readers: readers, writers: writers, requestTimeout: requestTimeout, loops: loops)
            try await store.migrate()
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await store.run() }
                defer { group.cancelAll() }
                _ = try await eventually("the store being connected") { store.isAvailable ? true : nil }
                return try await body(store)
            }
        }
    }

    static func make(
        url: String,
        keys: String = keys,
        readers: Int = 1,
        writers: Int = 1,
        requestTimeout: Duration = .seconds(20),
        loops: LoopGroup
    ) throws -> ConfigurationStore {
        var configuration = StoreConfiguration(url: url)
        configuration.readers = readers
        configuration.writers = writers
        configuration.requestTimeout = requestTimeout
        configuration.rootTokenHash = TokenText.hash(rootToken)
        return try ConfigurationStore(configuration: configuration, keyRing: KeyRing(parsing: keys), loops: loops, logger: silent)
    }

    static let silent = Logger(label: "store-tests") { _ in SwiftLogNoOpLogHandler() }

    @discardableResult
    func set(
        _ name: String,
        _ value: String,
        kind: EntryKind? = .variable,
        note: String? = nil,
        if precondition: Precondition = .none
    ) async throws(StoreError) -> MutationOutcome {
        try await mutate([EntryChange(name: name, op: .set(value), kind: kind, note: note)], if: precondition)
    }

    @discardableResult
    func delete(_ name: String, kind: EntryKind? = nil) async throws(StoreError) -> MutationOutcome {
        try await mutate([EntryChange(name: name, op: .delete, kind: kind)])
    }

    func mutate(_ changes: [EntryChange], if precondition: Precondition = .none) async throws(StoreError) -> MutationOutcome {
        try await store.mutate(
            Mutation(environmentID: environmentID, changes: changes, actor: "token:ab12cd34", precondition: precondition)
        )
    }

    /// The environment's revision as the database has it.
    func revision() async throws -> Int64 {
        try await store.environment(id: environmentID).revision
    }

    func allChanges() async throws -> [Change] {
        try await store.changes(environmentID: environmentID, since: 0, limit: 1_000_000).changes
    }
}

/// The error that `body` throws; nil where it throws none.
func failure<Value>(isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Value) async -> StoreError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? StoreError
    }
}

/// Closures are kept out of `#expect`: Swift 6.3 gives two of them in one test the same symbol now and then, and the wrong one runs.
func expectRefusal<Value>(
    _ code: StoreError.Code?,
    isolation: isolated (any Actor)? = #isolation,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Value
) async {
    let found = await failure(body)?.code
    #expect(found == code, sourceLocation: sourceLocation)
}
