// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The publishing side: where a run's changes come from, by the form that each server takes them in.
// Flows through: the run's wishes, a channel each; out of them commits and announcements, or frames, requests and lines to a peer.
// Owner: a publisher belongs to the run's loop; what commits has loops of its own, which don't sleep as the fleet's does.
// Must hold: every change that was wished for is published once; its time is the server's, not that of a busy client.

import Synchronization

/// Where a run's changes come from. Called on the fleet's loop.
protocol LoadPublisher: AnyObject {
    /// - Parameter ahead: changes of each channel that may be prepared before they are published, where there is something to prepare.
    /// - Parameter isTimed: somebody will ask for the stamps.
    func beginRun(ahead: Int, isTimed: Bool)
    /// Sends the channel's next change on its way.
    func publish(channel: Int)
    /// Sends what else was prepared; returns how many changes that are on each channel.
    func finishRun() -> [Int]
    /// Of a timed run: when each change was committed, or reached the server where it was committed before or not at all.
    var stamps: PublishStamps { get }
}

/// Numbers changes and keeps their times. Guarded by its mutex: commits come back on other threads.
final class PublishStamps: Sendable {
    private struct State {
        var next: UInt32 = 1
        var times: [UInt32: UInt64] = [:]
    }

    private let state = Mutex(State())

    func nextNumber() -> UInt32 {
        state.withLock { state in
            defer { state.next += 1 }
            return state.next
        }
    }

    /// Forgets earlier times.
    func reset() {
        state.withLock { $0.times = [:] }
    }

    func note(_ number: UInt32, at time: UInt64) {
        state.withLock { $0.times[number] = time }
    }

    var times: [UInt32: UInt64] { state.withLock { $0.times } }
}
