// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What one loop has counted for one server, pool or listener. Written by that loop alone, so that an addition is a load and a store
/// without a lock; read by the control loop, for which a count that is a moment old is good enough.
final class TrafficTally: Sendable {
    private let cells = InlineArray<17, Atomic<Int>> { _ in Atomic(0) }

    func add(_ count: Int = 1, to item: TrafficItem) {
        let index = Int(item.rawValue)
        cells[index].store(cells[index].load(ordering: .relaxed) &+ count, ordering: .relaxed)
    }

    /// An answer went to a client, or was meant for one that has gone.
    func answered(_ status: Int, cause: TerminationCause) {
        add(to: .requests)
        add(to: TrafficItem(status: status))
        switch cause {
        case .done: break
        case .refused: add(to: .refused)
        case .serverFailed, .serverTimeout: add(to: .serverFailures)
        case .clientGone, .clientTimeout: add(to: .clientAborts)
        }
    }

    fileprivate func value(_ item: TrafficItem) -> Int {
        cells[Int(item.rawValue)].load(ordering: .relaxed)
    }
}

/// What is counted, in the order of the cells.
enum TrafficItem: UInt8, CaseIterable {
    case requests
    case informational, successful, redirected, clientErrors, serverErrors, otherStatus
    case bytesIn, bytesOut
    case connectFailures, serverFailures, clientAborts, refused
    case retries, redispatches
    /// Connections (HTTP/2: streams) that came, and that have gone.
    case sessions, ended

    init(status: Int) {
        self =
            switch status / 100 {
            case 1: .informational
            case 2: .successful
            case 3: .redirected
            case 4: .clientErrors
            case 5: .serverErrors
            default: .otherStatus
            }
    }
}

/// The sum of some tallies, at one moment.
struct TrafficTotals: Sendable, Equatable {
    private var counts = [Int](repeating: 0, count: TrafficItem.allCases.count)

    subscript(item: TrafficItem) -> Int { counts[Int(item.rawValue)] }

    /// Sessions at this moment.
    var open: Int { max(0, self[.sessions] - self[.ended]) }

    static func += (totals: inout TrafficTotals, tally: TrafficTally) {
        for item in TrafficItem.allCases { totals.counts[Int(item.rawValue)] += tally.value(item) }
    }

    static func += (totals: inout TrafficTotals, other: TrafficTotals) {
        for index in totals.counts.indices { totals.counts[index] += other.counts[index] }
    }

    init(_ tallies: [TrafficTally] = []) {
        for tally in tallies { self += tally }
    }
}
