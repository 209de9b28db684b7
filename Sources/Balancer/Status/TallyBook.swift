// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The tallies of all loops by what they count. Guarded by its mutex; loops come here when they open a listener or a pool, the control loop
/// when it adds up.
final class TallyBook: Sendable {
    enum Subject: Hashable, Sendable {
        /// By the address it listens on.
        case listener(String)
        /// What was answered for a pool without any of its servers.
        case pool(String)
    }

    private struct Entry {
        let subject: Subject
        var tallies: [TrafficTally]
    }

    private let entries = Mutex<[Entry]>([])

    /// A tally of the calling loop's own.
    func open(_ subject: Subject) -> TrafficTally {
        let tally = TrafficTally()
        enter(tally, for: subject)
        return tally
    }

    func enter(_ tally: TrafficTally, for subject: Subject) {
        entries.withLock { entries in
            if let index = entries.firstIndex(where: { $0.subject == subject }) {
                entries[index].tallies.append(tally)
            } else {
                entries.append(Entry(subject: subject, tallies: [tally]))
            }
        }
    }

    func totals(of subject: Subject) -> TrafficTotals {
        TrafficTotals(entries.withLock { entries in entries.first { $0.subject == subject }?.tallies ?? [] })
    }

    /// In the order in which they were opened.
    var listeners: [String] {
        entries.withLock { entries in
            entries.compactMap { if case .listener(let address) = $0.subject { address } else { nil } }
        }
    }
}
