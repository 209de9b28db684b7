// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging

extension ConfigurationStore {
    /// Any 64-bit number that nobody else locks with.
    private static let migrationLock: Int64 = 0x6B65_7976_616E_6501

    /// Brings the database's schema up to this binary's. Safe to run from every instance at start.
    /// - Throws: `schema_too_new` where a newer binary has been here.
    package func migrate() async throws(StoreError) {
        try await withDirectConnection { connection throws(StoreError) in
            // Creating the schema is not safe to do twice at a time either, hence the lock around all of it.
            try await connection.run("SELECT pg_advisory_lock(\(Self.migrationLock))")
            try await connection.run(
                """
                CREATE SCHEMA IF NOT EXISTS keyvane;
                CREATE TABLE IF NOT EXISTS keyvane.schema_version (version integer PRIMARY KEY, applied_at timestamptz NOT NULL);
                """
            )
            let present = try await Self.schemaVersion(connection)
            for (index, step) in Migrations.all.enumerated().dropFirst(present) {
                let functions = index + 1 == Migrations.latest ? Migrations.functions : ""
                try await connection.run(
                    "BEGIN; \(step) \(functions) INSERT INTO keyvane.schema_version VALUES (\(index + 1), now()); COMMIT;"
                )
                self.logger.notice("schema_migrated", metadata: ["version": "\(index + 1)"])
            }
            // The lock goes with the connection.
        }
    }

    /// The number of the last applied step.
    /// - Throws: `schema_too_new`.
    static func schemaVersion(_ connection: DirectConnection) async throws(StoreError) -> Int {
        let result = try await connection.run("SELECT coalesce(max(version), 0) FROM keyvane.schema_version").last
        let version = Int(result?.first?.integer(0) ?? 0)
        guard version <= Migrations.latest else {
            let detail = "version \(version), this binary knows \(Migrations.latest)"
            throw StoreError(.schemaTooNew, "the database's schema is newer than this binary (\(detail)): start a newer binary")
        }
        return version
    }

    /// What a start looks at before it serves anything: the schema, and whether the master keys are those of this database.
    func checkStart(_ connection: DirectConnection) async throws(StoreError) {
        let version = try await Self.schemaVersion(connection)
        guard version == Migrations.latest else {
            throw StoreError(.schemaMissing, "the database's schema is old (version \(version)): run 'keyvane migrate'")
        }
        try await checkMasterKeys(connection)
    }
}
