// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The ledger's keys of one cluster: for each gateway process a hash with a record for each of its environments, which expires as a whole, and
/// one index of the processes, so that a reader needn't walk a Redis that others fill too. Lifetimes are the registry's.
struct WatcherKeys: Sendable {
    /// The field that tells whether a hash has been there all the time; the others are ids of environments.
    static let owner = "gateway"

    /// A sorted set of the gateway processes with the time of their last sign of life.
    let index: String
    private let prefix: String

    init(cluster: String) {
        index = "\(cluster):watchers"
        prefix = index + ":"
    }

    func records(of member: String) -> String { prefix + member }
}
