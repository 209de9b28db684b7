// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging

/// What a rotation left behind.
package struct KeyRotation: Sendable, Equatable {
    /// The first master key of the ring, which wraps everything from now on.
    package let keyID: String
    /// Data keys that this run wrapped anew.
    package let rewrapped: Int
    /// Projects there are.
    package let projects: Int
    /// Projects whose data key is still under another master key: made meanwhile by a process that has another first key. By key id.
    package let remaining: [String: Int]
    /// Projects whose wrapped key can't be opened by the key it names: ids, for a restore from a backup.
    package let unreadable: [String]

    /// Every other key of the ring may be taken away.
    package var isComplete: Bool { remaining.isEmpty && unreadable.isEmpty }
}

extension ConfigurationStore {
    private static let rotationBatch = 100

    /// Wraps every project's data key by the first master key: in small transactions, beside running processes, and again after any
    /// interruption. No secret is sealed anew, since the data keys stay what they are; so nobody who has them in memory notices.
    /// - Throws: `master_key_missing`, `master_key_wrong`, `schema_missing`, `schema_too_new`, `unavailable`.
    package func rotateKeys() async throws(StoreError) -> KeyRotation {
        var rewrapped = 0
        return try await withDirectConnection { connection throws(StoreError) in
            try await self.checkStart(connection)
            var unreadable: [String] = []
            var last = "00000000-0000-0000-0000-000000000000"
            // In the order of ids: one pass ends, even beside a rotation to another key.
            while let batch = try await self.batch(after: last, connection), let end = batch.last {
                last = end.id.lowercased
                let anew = batch.compactMap { self.rewrap($0, &unreadable) }
                rewrapped += try await Self.store(anew, firstID: self.keyRing.firstID, connection)
            }
            // At the end: its new place says that all the rest was done at least once.
            try await self.rewrapCanary(connection)
            return try await self.summary(rewrapped, unreadable, connection)
        }
    }

    private struct WrappedKey {
        let id: UUID
        let text: String
    }

    private func batch(after last: String, _ connection: DirectConnection) async throws(StoreError) -> [WrappedKey]? {
        let rows = try await connection.run(
            """
            SELECT id, wrapped_key FROM keyvane.project WHERE master_key_id <> '\(keyRing.firstID)' AND id > '\(last)'
            ORDER BY id LIMIT \(Self.rotationBatch)
            """
        ).last?.rows
        return rows?.map { WrappedKey(id: $0.uuid(0), text: $0.text(1)) }
    }

    /// Nil, and a line in the log, for one that can't be opened; the others must not wait for it.
    private func rewrap(_ old: WrappedKey, _ unreadable: inout [String]) -> (old: WrappedKey, new: String)? {
        let place = ProjectKey.place(projectID: old.id)
        do throws(StoreError) {
            return (old, try keyRing.wrap(try keyRing.unwrap(old.text, place: place), place: place))
        } catch {
            unreadable.append(old.id.lowercased)
            logger.error("project_key_unreadable", metadata: ["project": "\(old.id.lowercased)", "remedy": "\(error.message)"])
            return nil
        }
    }

    /// One transaction. A project that somebody else has rotated or deleted meanwhile is left alone.
    private static func store(
        _ batch: [(old: WrappedKey, new: String)],
        firstID: String,
        _ connection: DirectConnection
    ) async throws(StoreError) -> Int {
        guard !batch.isEmpty else { return 0 }
        // Ids, slugs and base64 that were just taken apart and found well-formed: nothing to quote.
        let values = batch.map { "('\($0.old.id.lowercased)'::uuid, '\($0.old.text)', '\($0.new)')" }.joined(separator: ", ")
        let result = try await connection.run(
            """
            WITH done AS (
                UPDATE keyvane.project p SET wrapped_key = v.new, master_key_id = '\(firstID)'
                FROM (VALUES \(values)) AS v (id, old, new) WHERE p.id = v.id AND p.wrapped_key = v.old RETURNING 1
            )
            SELECT count(*) FROM done
            """
        )
        return Int(result.last?.first?.integer(0) ?? 0)
    }

    private func rewrapCanary(_ connection: DirectConnection) async throws(StoreError) {
        guard let old = try await connection.run("SELECT value FROM keyvane.setting WHERE name = 'canary'").last?.first?.text(0) else {
            return
        }
        let canary = try keyRing.unwrap(old, place: Self.canaryPlace)
        let new = try keyRing.wrap(canary, place: Self.canaryPlace)
        try await connection.run("UPDATE keyvane.setting SET value = '\(new)' WHERE name = 'canary' AND value = '\(old)'")
    }

    private func summary(
        _ rewrapped: Int,
        _ unreadable: [String],
        _ connection: DirectConnection
    ) async throws(StoreError) -> KeyRotation {
        let counts = try await connection.run("SELECT master_key_id, count(*) FROM keyvane.project GROUP BY master_key_id").last
        let pairs = counts?.rows.map { ($0.text(0), Int($0.integer(1))) } ?? []
        let byKey = Dictionary(pairs) { $0 + $1 }
        let rotation = KeyRotation(
            keyID: keyRing.firstID,
            rewrapped: rewrapped,
            projects: byKey.values.reduce(0, +),
            remaining: byKey.filter { $0.key != keyRing.firstID },
            unreadable: unreadable
        )
        logger.notice("master_keys_rotated", metadata: ["key": "\(rotation.keyID)", "rewrapped": "\(rewrapped)"])
        return rotation
    }
}
