// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation
package import Notifier
import Store

// Who watches an environment, for operators and for writers who want to know that their change is in use.
// Flows through: the gateways' ledger in Redis into counts; nothing of it is kept here.
// Owner: the request's task, which waits no longer than its own timeout.
// Must hold: a writer is told "applied" only of watchers that said so, or had nothing to see; without Redis he is told at once that nobody
//   knows, and his change stands all the same.

/// Waits until the watchers that acknowledge have answered for a revision. The ledger is asked again and again: it is there for seconds,
/// whatever becomes of a message.
package struct AppliedWaiter: Sendable {
    private static let firstPause = Duration.milliseconds(25)
    /// A watcher that subscribed before the change was committed is usually in the ledger by then: gateways write what is new within 20 ms,
    /// where they and Redis aren't busy. One that isn't is missing from the counts, and starts with the new state.
    private static let writeTime = Duration.milliseconds(50)
    private static let longestPause = Duration.milliseconds(100)

    private let directory: WatcherDirectory

    package init(_ directory: WatcherDirectory) {
        self.directory = directory
    }

    /// The counts once nobody is pending any more, or at the timeout; nil where Redis is away, goes away meanwhile, or has not been told of
    /// everybody again yet.
    package func applied(revision: Int64, environmentID: UUID, timeout: Duration) async -> AppliedCounts? {
        let deadline = ContinuousClock.now + timeout
        let complete = ContinuousClock.now + Self.writeTime
        let id = environmentID.lowercased
        let generation = directory.generation
        var pause = Self.firstPause
        while true {
            guard let watchers = try? await directory.watchers(of: id) else { return nil }
            // Redis went and came back between two looks: what it has now may not be all.
            guard directory.generation == generation else { return nil }
            let counts = AppliedCounts(watchers, of: revision)
            let answer = directory.isComplete ? counts : nil
            let now = ContinuousClock.now
            let isAnswered = answer?.pending == 0
            if isAnswered, now >= complete { return answer }
            guard now < deadline else { return answer }
            let next = min(deadline, isAnswered ? complete : now + pause)
            // Cancelled: whoever asked is gone, or everybody is sent home.
            guard (try? await Task.sleep(until: next, clock: .continuous)) != nil else { return answer }
            pause = min(pause * 5 / 4, Self.longestPause)
        }
    }
}

extension WatcherDirectory {
    /// Watchers whom a change would reach now; nil while Redis is away, or may not know of all of them yet.
    package func watcherCount(environmentID: UUID) async -> Int? {
        guard let watchers = try? await watchers(of: environmentID.lowercased), isComplete else { return nil }
        return watchers.total
    }
}
