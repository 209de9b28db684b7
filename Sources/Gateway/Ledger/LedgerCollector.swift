// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import Reactor

/// Adds up what the loops' ledgers say, for the ledger's writer. Immutable.
struct LedgerCollector: Sendable {
    let sockets: SocketLoops
    let pulse: LedgerPulse

    /// Of all environments, or of those that changed since the last call.
    func tallies(everything: Bool) async -> [String: WatcherTally] {
        // Taken before the loops are asked: what changes in between is marked again, and asked for once more.
        let changed = pulse.take()
        guard everything || !changed.isEmpty else { return [:] }
        var tallies: [String: WatcherTally] = [:]
        for id in changed { tallies[id] = WatcherTally() }
        for bound in sockets.all {
            // A loop outlives the service, which ends its writer first; nothing throws here.
            let own = try? await bound.loop.run { bound.value.ledger.tallies(of: everything ? nil : changed) }
            for (id, tally) in own ?? [:] { tallies[id, default: WatcherTally()].add(tally) }
        }
        return tallies
    }
}
