// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Wire

/// Commands that were sent and not yet answered, oldest first; a value, owned by its connection. Its length is bounded by the client's
/// budget of bytes, from which a caller takes before it gets here.
package struct CommandQueue {
    /// Called inside the connection's own work: what goes back to the connection, its close too, is deferred.
    package typealias Completion = (Result<[RESPValue], NotifierError>) -> Void

    private struct Entry {
        var missing: Int
        var replies: [RESPValue] = []
        let completion: Completion?
    }

    private var entries: [Entry] = []
    private var first = 0

    package init() {}

    /// `count` commands that are answered together; without a completion their answers are dropped, as a PING's is.
    package mutating func sent(_ count: Int, _ completion: Completion?) {
        precondition(count > 0, "a command without an answer")
        entries.append(Entry(missing: count, completion: completion))
    }

    /// The next reply. False: nobody waits for one.
    package mutating func answered(_ reply: RESPValue) -> Bool {
        guard first < entries.count else { return false }
        entries[first].missing -= 1
        if entries[first].completion != nil { entries[first].replies.append(reply) }
        guard entries[first].missing == 0 else { return true }
        let entry = entries[first]
        first += 1
        // Moved up only when half is behind, so that each entry moves once on average.
        if first * 2 >= entries.count {
            entries.removeFirst(first)
            first = 0
        }
        entry.completion?(.success(entry.replies))
        return true
    }

    /// Fails all of them, in order. What was sent may have been done all the same.
    package mutating func fail(_ error: NotifierError) {
        let unanswered = entries[first...]
        entries = []
        first = 0
        for entry in unanswered { entry.completion?(.failure(error)) }
    }
}
