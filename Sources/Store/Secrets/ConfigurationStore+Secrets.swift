// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation
import Logging
import Synchronization

extension ConfigurationStore {
    static let canaryPlace = "canary"

    /// A key under the master key, stored at the first start, proves at every later one that the same master keys were given: losing them is
    /// found out now, not at the first read of a secret. One project per master key is tried too.
    func checkMasterKeys(_ connection: DirectConnection) async throws(StoreError) {
        let projects = try await connection.run(
            """
            SELECT DISTINCT ON (master_key_id) master_key_id, count(*) OVER (PARTITION BY master_key_id), id, wrapped_key
            FROM keyvane.project ORDER BY master_key_id, id
            """
        )
        let rows = projects.last.map { Array($0.rows) } ?? []
        let missing = rows.filter { !keyRing.ids.contains($0.text(0)) }
        guard missing.isEmpty else { throw keyRing.missing(missing.map { ($0.text(0), Int($0.integer(1))) }) }
        for row in rows { _ = try keyRing.unwrap(row.text(3), place: ProjectKey.place(projectID: row.uuid(2))) }
        let canary = try keyRing.wrap(ProjectKey.generate(), place: Self.canaryPlace)
        // The text is ours: base64 and slugs, nothing to quote.
        let stored = try await connection.run(
            """
            INSERT INTO keyvane.setting VALUES ('canary', '\(canary)') ON CONFLICT DO NOTHING;
            SELECT value FROM keyvane.setting WHERE name = 'canary';
            """
        )
        if let row = stored.last?.first { _ = try keyRing.unwrap(row.text(0), place: Self.canaryPlace) }
    }

    private static let keyOfEnvironment = PostgresStatement(
        "project_key",
        "SELECT p.id, p.wrapped_key FROM keyvane.environment e JOIN keyvane.project p ON p.id = e.project_id WHERE e.id = $1"
    )

    /// The key that opens and seals the environment's secrets; read once per environment.
    /// - Throws: `master_key_missing` where another process has wrapped it by a master key that this one was not given.
    package func projectKey(environmentID: UUID) async throws(StoreError) -> ProjectKey {
        if let key = keys.withLock({ $0[environmentID] }) { return key }
        guard let row = try await read(Self.keyOfEnvironment.call { $0.add(environmentID) }).first else {
            throw StoreError(.notFound, "there is no such environment")
        }
        return try projectKey(environmentID: environmentID, projectID: row.uuid(0), wrapped: row.text(1))
    }

    /// The same with the wrapped key at hand.
    func projectKey(environmentID: UUID, projectID: UUID, wrapped: String) throws(StoreError) -> ProjectKey {
        if let key = keys.withLock({ $0[environmentID] }) { return key }
        let key: ProjectKey
        do throws(StoreError) {
            key = ProjectKey(try keyRing.unwrap(wrapped, place: ProjectKey.place(projectID: projectID)))
        } catch {
            // Nothing of this project can be sealed or opened here until an operator acts, whoever asks.
            logger.error(
                "project_key_unreadable",
                metadata: [
                    "project": "\(projectID.lowercased)", "environment": "\(environmentID.lowercased)", "code": "\(error.code.rawValue)",
                    "remedy": "\(error.message)",
                ]
            )
            throw error
        }
        keys.withLock { $0[environmentID] = key }
        return key
    }
}
