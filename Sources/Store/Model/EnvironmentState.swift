// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// All entries of an environment at one revision, sorted by the bytes of their names. A snapshot has only the enabled ones.
package struct EnvironmentState: Hashable, Sendable {
    package let revision: Int64
    package let mark: UInt32
    package let entries: [Entry]

    package var snapshot: Snapshot {
        Snapshot(
            revision: revision,
            mark: mark,
            entries: entries.compactMap { entry in
                guard entry.enabled, let value = entry.value else { return nil }
                return SnapshotEntry(
                    name: entry.name,
                    kind: entry.kind,
                    value: value,
                    version: entry.version,
                    revision: entry.revision
                )
            }
        )
    }
}
