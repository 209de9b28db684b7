// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A pool as the directory last saw it. Immutable; every change makes a new one.
struct PoolSnapshot: Sendable {
    struct Member: Sendable {
        let server: PooledServer
        let weight: Int
        let standing: HealthStateMachine.Standing
    }

    let name: String
    let members: [Member]
    let sticky: StickyTable?

    var usableCount: Int { members.count { $0.standing == .up } }
}
