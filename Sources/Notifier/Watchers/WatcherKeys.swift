// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The ledger's keys of one cluster: a record for each environment and gateway process, which expires by itself, and one index of the
/// processes, so that a reader needn't walk a Redis that others fill too. Lifetimes are the registry's.
struct WatcherKeys: Sendable {
    /// A sorted set of the gateway processes with the time of their last full write.
    let index: String
    private let prefix: String

    init(cluster: String) {
        index = "\(cluster):watchers"
        prefix = index + ":"
    }

    func record(_ environmentID: String, _ member: String) -> String { "\(prefix)\(environmentID):\(member)" }
}
