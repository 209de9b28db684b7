// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Something with one deadline at a time.
protocol Timed: AnyObject {
    /// Its place in the sweep; `DeadlineSweep.noSlot` while it has none.
    var sweepSlot: Int { get set }
    func deadlinePassed()
}

/// All deadlines of one loop, looked at a few times a second: a connection costs no timer of its own, and moving its deadline costs one store.
/// Confined to its loop; holds what is in it.
final class DeadlineSweep {
    static let noSlot = -1
    static let never = UInt64.max

    private var deadlines: [UInt64] = []
    private var owners: [any Timed] = []

    /// Milliseconds of the loop's clock.
    func add(_ owner: some Timed, deadline: UInt64) {
        owner.sweepSlot = owners.count
        deadlines.append(deadline)
        owners.append(owner)
    }

    func set(_ owner: some Timed, deadline: UInt64) {
        guard owner.sweepSlot != Self.noSlot else { return }
        deadlines[owner.sweepSlot] = deadline
    }

    func remove(_ owner: some Timed) {
        let slot = owner.sweepSlot
        guard slot != Self.noSlot else { return }
        owner.sweepSlot = Self.noSlot
        // The last one takes the free place.
        let last = owners.removeLast()
        let deadline = deadlines.removeLast()
        guard slot < owners.count else { return }
        owners[slot] = last
        deadlines[slot] = deadline
        last.sweepSlot = slot
    }

    /// Tells everybody whose time has come; each is told again at the next sweep unless it sets another deadline or leaves.
    func run(at now: UInt64) {
        var due: [any Timed] = []
        for slot in deadlines.indices where deadlines[slot] <= now { due.append(owners[slot]) }
        for owner in due where owner.sweepSlot != Self.noSlot { owner.deadlinePassed() }
    }

    /// Everybody of one kind, for the drain and the end.
    func all<Kind>(_ kind: Kind.Type) -> [Kind] {
        owners.compactMap { $0 as? Kind }
    }
}
