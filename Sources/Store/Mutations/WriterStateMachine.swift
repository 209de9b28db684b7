// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// Which waiting mutations go to PostgreSQL next, and what becomes of them when a batch fails.
///
/// What waits goes as one batch, that is one transaction and one disk flush for many callers; never a wait to fill one. A member that raises
/// takes its batch down with it, so the members are then sent one by one.
package struct WriterStateMachine {
    package struct Member: Hashable {
        /// Names the mutation within its writer, rising.
        package let ticket: Int
        package let environmentID: UUID
        package let byteCount: Int
        /// Gets a batch of its own: it would make the others wait.
        package let isBulk: Bool
        /// It may have been committed before: PostgreSQL looks first.
        package var retry = false
        fileprivate var failures = 0

        package init(ticket: Int, environmentID: UUID, byteCount: Int, isBulk: Bool) {
            self.ticket = ticket
            self.environmentID = environmentID
            self.byteCount = byteCount
            self.isBulk = isBulk
        }
    }

    package enum RefusalAction: Equatable {
        /// The members, or the one, will be sent again by themselves.
        case resend
        case fail(Member)
    }

    package enum Cause: Equatable {
        /// A deadlock or serialization failure: nothing took effect.
        case transient
        /// Somebody else holds the environment's lock for long: nothing took effect.
        case locked
        /// The mutation's id is there already.
        case alreadyCommitted
        case other
    }

    private enum State {
        case idle
        case sent([Member])
    }

    package static let batchLimit = 64
    private static let batchBytes = 1024 * 1024
    private static let retryLimit = 5

    private var state = State.idle
    private var waiting = FIFO<Member>()
    /// Sent before what waits, each alone.
    private var alone = FIFO<Member>()
    /// Of environments that somebody else has locked: each alone, in turn with what waits, so that only their own callers wait for the lock.
    private var held = FIFO<Member>()
    private var lockedEnvironments: Set<UUID> = []
    private var isHeldTurn = false

    package init() {}

    package mutating func arrived(_ member: Member) {
        waiting.append(member)
    }

    /// What to send now; nil while something is under way, or nothing waits. `isWanted` is false for those nobody waits for any more.
    package mutating func nextBatch(isWanted: (Member) -> Bool) -> [Member]? {
        switch state {
        case .sent:
            return nil
        case .idle:
            while let member = alone.popFirst() {
                if isWanted(member) { return send([member]) }
            }
            isHeldTurn.toggle()
            return (isHeldTurn ? nextHeld(isWanted) : nil) ?? nextWaiting(isWanted) ?? nextHeld(isWanted)
        }
    }

    private mutating func nextHeld(_ isWanted: (Member) -> Bool) -> [Member]? {
        while let member = held.popFirst() {
            if isWanted(member) { return send([member]) }
        }
        // Nobody waits for them any more.
        lockedEnvironments = []
        return nil
    }

    private mutating func nextWaiting(_ isWanted: (Member) -> Bool) -> [Member]? {
        var batch: [Member] = []
        var byteCount = 0
        while batch.count < Self.batchLimit, byteCount < Self.batchBytes, let next = waiting.first {
            let isHeld = lockedEnvironments.contains(next.environmentID)
            if next.isBulk, !batch.isEmpty, !isHeld { break }
            _ = waiting.popFirst()
            guard isWanted(next) else { continue }
            if isHeld {
                held.append(next)
                continue
            }
            batch.append(next)
            byteCount += next.byteCount
            if next.isBulk { break }
        }
        return batch.isEmpty ? nil : send(batch.sorted(by: Self.locksFirst))
    }

    private mutating func send(_ batch: [Member]) -> [Member] {
        state = .sent(batch)
        return batch
    }

    /// All processes lock environments in the same order, so batches can't deadlock; within one the order of arrival stays.
    private static func locksFirst(_ left: Member, _ right: Member) -> Bool {
        if left.environmentID == right.environmentID { return left.ticket < right.ticket }
        return withUnsafeBytes(of: left.environmentID.uuid) { left in
            withUnsafeBytes(of: right.environmentID.uuid) { right in left.lexicographicallyPrecedes(right) }
        }
    }

    /// Committed. Answers with the batch.
    package mutating func answered() -> [Member] {
        let batch = takeSent()
        if !lockedEnvironments.isEmpty { lockedEnvironments.subtract(batch.map(\.environmentID)) }
        return batch
    }

    /// Rolled back as a whole.
    package mutating func refused(_ cause: Cause) -> RefusalAction {
        let batch = takeSent()
        guard batch.count == 1, var member = batch.first else {
            for member in batch { alone.append(member) }
            return .resend
        }
        if cause == .locked {
            // Until its caller's time is over.
            lockedEnvironments.insert(member.environmentID)
            held.append(member)
            return .resend
        }
        member.failures += 1
        switch cause {
        case .transient where member.failures <= Self.retryLimit:
            alone.append(member)
            return .resend
        case .alreadyCommitted where !member.retry:
            member.retry = true
            alone.append(member)
            return .resend
        case .transient, .locked, .alreadyCommitted, .other:
            return .fail(member)
        }
    }

    /// The connection went: committed or not, nobody knows. One by one and with a look first, so that nothing happens twice.
    package mutating func lost() {
        for var member in takeSent() {
            member.retry = true
            alone.append(member)
        }
    }

    private mutating func takeSent() -> [Member] {
        switch state {
        case .sent(let batch):
            state = .idle
            return batch
        case .idle:
            preconditionFailure("an answer while nothing was sent")
        }
    }
}
