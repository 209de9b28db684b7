// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The registry's keys of one cluster.
struct RegistryKeys: Sendable {
    static let expiry = Duration.seconds(6)
    static let heartbeat = Duration.seconds(2)
    /// Names stay in the index for this long after their last heartbeat: longer than two clocks differ that anybody sets, and no longer,
    /// because every look asks for each name.
    static let indexAge = Duration.seconds(300)

    /// A sorted set of all names with the time of their last heartbeat, so that a listing needn't walk a Redis that others fill too.
    let index: String
    private let prefix: String

    init(cluster: String) {
        index = "\(cluster):instances"
        prefix = index + ":"
    }

    func member(_ record: InstanceRecord) -> String { "\(record.role.rawValue):\(record.name)" }
    func record(_ member: String) -> String { prefix + member }
}
