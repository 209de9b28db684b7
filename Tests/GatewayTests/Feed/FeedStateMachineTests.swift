// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Store
import Testing

@Suite struct FeedStateMachineTests {
    private var log = FeedLog()

    /// A feed at the log's head, and the changes that come after it.
    private mutating func begin(_ transactions: [Int]) -> (FeedRun, [Change]) {
        log.commit([("A", "0")])
        let run = FeedRun(startingFrom: log)
        var later: [Change] = []
        for (index, count) in transactions.enumerated() {
            later += log.commit((0..<count).map { ("N\(index)_\($0)", "\(index)") })
        }
        return (run, later)
    }

    @Test mutating func appliesInOrder() {
        var (run, changes) = begin([1, 1, 1])
        for change in changes { run.receive(change, log) }
        #expect(run.published == changes)
        #expect(run.batches.count == 3)
        #expect(run.machine.gapDue == nil)
        #expect(run.machine.content.entries == log.entries)
    }

    @Test mutating func ignoresDuplicates() {
        var (run, changes) = begin([1, 1])
        for change in changes { run.receive(change, log) }
        for change in changes { run.receive(change, log) }
        #expect(run.published == changes)
        #expect(!run.wantsComparison)
    }

    @Test mutating func ordersWhatOvertookWithoutReading() {
        var (run, changes) = begin([1, 1, 1])
        run.receive(changes[2], log)
        run.receive(changes[1], log)
        #expect(run.published.isEmpty)
        run.pass(19, log)
        run.receive(changes[0], log)
        run.pass(100, log)
        #expect(run.published == changes)
        #expect(run.reads == 0)
    }

    @Test mutating func readsAGapAfterTheWait() {
        var (run, changes) = begin([1, 1])
        run.receive(changes[1], log)
        run.pass(19, log)
        #expect(run.reads == 0)
        run.pass(1, log)
        #expect(run.reads == 1)
        #expect(run.published == changes)
        #expect(run.machine.gapDue == nil)
    }

    @Test mutating func showsNoPartOfATransaction() {
        var (run, changes) = begin([3])
        run.receive(changes[0], log)
        run.receive(changes[1], log)
        #expect(run.published.isEmpty)
        run.receive(changes[2], log)
        #expect(run.batches == [changes])
    }

    @Test mutating func waitsAnewWithEachMessageOfTheTransaction() {
        var (run, changes) = begin([4])
        for change in changes.dropLast() {
            run.receive(change, log)
            run.pass(15, log)
        }
        #expect(run.reads == 0)
        run.receive(changes[3], log)
        #expect(run.batches == [changes])
        #expect(run.reads == 0)
    }

    @Test mutating func otherTransactionsDoNotProlongTheWait() {
        var (run, changes) = begin([2, 1, 1])
        run.receive(changes[0], log)
        run.pass(15, log)
        run.receive(changes[2], log)
        run.pass(5, log)
        #expect(run.reads == 1)
        #expect(run.published == changes)
    }

    @Test mutating func aBulkAnnouncementIsReadAtOnce() {
        var (run, changes) = begin([150])
        run.announce(changes[149].revision, log)
        run.pass(0, log)
        #expect(run.reads == 1)
        #expect(run.batches == [changes])
    }

    @Test mutating func anOldAnnouncementChangesNothing() {
        var (run, changes) = begin([2])
        for change in changes { run.receive(change, log) }
        run.announce(changes[1].revision, log)
        run.pass(1_000, log)
        #expect(run.reads == 0)
    }

    @Test mutating func messagesDuringTheFirstReadAreNotForgotten() {
        log.commit([("A", "0")])
        let early = log.content
        let change = log.commit([("A", "1")])[0]
        var machine = FeedStateMachine()
        #expect(machine.received(change, at: 5) == .none)
        #expect(machine.loaded(early, later: [], at: 9) == .none)
        #expect(machine.gapDue == 9)
        #expect(machine.head.revision == 1)
    }

    @Test mutating func rowsBehindTheSnapshotAreApplied() {
        log.commit([("A", "0")])
        let early = log.content
        let later = log.commit([("A", "1"), ("B", "1")])
        var machine = FeedStateMachine()
        _ = machine.loaded(early, later: log.changes, at: 0)
        #expect(machine.head == log.head)
        #expect(machine.content.entries == log.entries)
        #expect(later.count == 2)
        #expect(machine.gapDue == nil)
    }

    @Test mutating func lateMessagesWhileReadingAreNotPublishedTwice() {
        var (run, changes) = begin([1, 1, 1])
        run.receive(changes[2], log)
        let (asked, generation) = (run.machine.head, run.machine.generation)
        run.machine.gapReadStarted()
        let page = log.page(since: asked.revision)
        run.receive(changes[0], log)
        run.receive(changes[1], log)
        #expect(run.published == changes)
        let action = run.machine.gapRead(page, asked: asked, generation: generation, at: run.now)
        #expect(action == .none)
        #expect(run.machine.isSettled)
    }

    @Test mutating func aFailedReadIsTriedAgain() {
        var (run, changes) = begin([1, 1])
        run.receive(changes[1], log)
        run.machine.gapReadStarted()
        run.machine.gapReadFailed(retryAt: run.now + 500)
        run.pass(499, log)
        #expect(run.reads == 0)
        run.pass(1, log)
        #expect(run.published == changes)
    }

    @Test mutating func aLongGapIsReadPageByPage() {
        var (run, changes) = begin([3, 3, 3, 3])
        run.announce(changes[11].revision, log)
        run.pass(0, log, limit: 4)
        #expect(run.published == changes)
        #expect(run.reads > 1)
    }

    @Test mutating func theSweepFindsWhatNoMessageTold() {
        var (run, changes) = begin([2])
        run.compare(log)
        run.pass(20, log)
        #expect(run.batches == [changes])
    }

    @Test mutating func anotherHistoryGivesASnapshot() {
        var (run, changes) = begin([1, 1])
        for change in changes { run.receive(change, log) }
        log.restore(to: 1, newSeed: 77)
        log.commit([("X", "1")])
        log.commit([("X", "2")])
        log.commit([("X", "3")])
        run.compare(log)
        #expect(run.snapshots == 1)
        #expect(run.machine.content.entries == log.entries)
        #expect(run.machine.head == log.head)
    }

    @Test mutating func aShorterHistoryGivesASnapshot() {
        var (run, changes) = begin([1, 1])
        for change in changes { run.receive(change, log) }
        log.restore(to: 1, newSeed: 77)
        run.compare(log)
        #expect(run.snapshots == 1)
        #expect(run.machine.head.revision == 1)
    }

    @Test mutating func aKnownRevisionWithAnotherMarkIsVerified() {
        var (run, changes) = begin([1])
        run.receive(changes[0], log)
        log.restore(to: 1, newSeed: 77)
        let other = log.commit([("X", "1")])[0]
        run.receive(other, log)
        #expect(run.wantsComparison)
        run.compare(log)
        #expect(run.snapshots == 1)
        #expect(run.machine.content.entries == log.entries)
    }

    @Test mutating func twoHistoriesInOneChannelAreSettledByReading() {
        var (run, changes) = begin([2, 1])
        run.receive(changes[2], log)
        let forged = Change(
            environmentID: log.id,
            revision: changes[2].revision,
            first: changes[2].first,
            last: changes[2].last,
            mark: 4711,
            name: "EVIL",
            kind: .variable,
            op: .set,
            value: .plain("x"),
            version: 1,
            at: changes[2].at,
            by: "nobody"
        )
        run.receive(forged, log)
        #expect(run.wantsComparison)
        run.pass(20, log)
        #expect(run.published == changes)
    }

    @Test mutating func aGapReadThatMeetsAnotherHistoryReloads() {
        var (run, changes) = begin([1, 1])
        run.receive(changes[1], log)
        log.restore(to: 0, newSeed: 99)
        log.commit([("X", "1")])
        log.commit([("X", "2")])
        run.pass(20, log)
        #expect(run.snapshots == 1)
        #expect(run.machine.content.entries == log.entries)
    }

    @Test mutating func anUnreachableRevisionDoesNotReadForEver() {
        var (run, changes) = begin([1])
        run.receive(changes[0], log)
        run.announce(1_000, log)
        run.pass(60_000, log)
        #expect(run.reads == 1)
        #expect(run.wantsComparison)
        #expect(run.machine.isSettled)
    }

    @Test mutating func answersOfAnEarlierHistoryAreIgnored() {
        var (run, changes) = begin([1])
        let (asked, generation) = (run.machine.head, run.machine.generation)
        let stale = log.compared(at: asked.revision)
        log.restore(to: 0, newSeed: 5)
        run.compare(log)
        #expect(run.snapshots == 1)
        #expect(run.machine.compared(stale, asked: asked, generation: generation, at: run.now) == .none)
        #expect(run.machine.isSettled)
        #expect(changes.count == 1)
    }

    @Test mutating func nothingFollowsTheEnd() {
        var (run, changes) = begin([1])
        #expect(run.machine.deleted() == .end)
        #expect(run.machine.deleted() == .none)
        #expect(run.machine.received(changes[0], at: 1) == .none)
        #expect(run.machine.announced(last: 99, at: 1) == .none)
        #expect(run.machine.gapDue == nil)
    }

    @Test mutating func impossibleChangesAreVerifiedNotApplied() {
        let (run, changes) = begin([1])
        var machine = run.machine
        let good = changes[0]
        for (revision, first, last) in [(0, 0, 0), (good.revision, good.revision + 1, good.revision + 1), (good.revision, 1, 1)] {
            let bad = Change(
                environmentID: log.id,
                revision: Int64(revision),
                first: Int64(first),
                last: Int64(last),
                mark: 1,
                name: "A",
                kind: .variable,
                op: .set,
                value: .plain("x"),
                version: 1,
                at: good.at,
                by: "nobody"
            )
            #expect(machine.received(bad, at: 1) == .verify)
        }
        #expect(machine.head == run.machine.head)
    }
}
