// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Notifier
import Store
import Testing

/// One loop's watchers of one environment, as plain values.
@Suite struct EnvironmentBookTests {
    private var book = EnvironmentBook()
    private let group: GroupID = 9

    private func cursor(_ revision: Int64) -> Cursor { Cursor(revision: revision, mark: 7) }

    /// Frames that lead to these revisions, and a head.
    private func publication(_ frames: [Int64], head: Int64, isReset: Bool = false, in group: GroupID = 9) -> Publication {
        Publication(
            group: group,
            frames: frames.map { EncodedFrame(bytes: [], cursor: cursor($0), changes: 1, committedAt: 0) },
            head: cursor(head),
            isReset: isReset
        )
    }

    private var record: WatcherRecord { WatcherRecord(gateway: "g", book.tally { "c-\($0)" }) }

    /// "revision x watchers", and failures as "applied-failed x watchers".
    private var summary: String {
        let record = record
        let steps =
            record.applied.map { "\($0.revision)x\($0.watchers)" } + record.failing.map { "\($0.applied)-\($0.failed)x\($0.watchers)" }
        return steps.joined(separator: " ")
    }

    // Checks in the macro can't change a stored value themselves.

    private mutating func enroll(_ connection: UInt32, from old: WatchStanding, to new: WatchStanding, isNew: Bool) -> Bool {
        book.enroll(connection, from: old, to: new, isNew: isNew)
    }

    private mutating func joined(_ connection: UInt32, _ group: GroupID, sent revision: Int64) -> Bool {
        book.joined(connection, group, sent: revision)
    }

    private mutating func left(_ connection: UInt32, _ group: GroupID, sent: Int64) -> Bool {
        book.left(connection, group, sent: sent)
    }

    private mutating func dismiss(_ connection: UInt32, from old: WatchStanding) -> GroupID? {
        book.dismiss(connection, from: old)
    }

    private mutating func published(_ publication: Publication) -> Bool {
        book.published(publication)
    }

    private mutating func join(_ connection: UInt32, at revision: Int64, in group: GroupID = 9) {
        _ = book.enroll(connection, from: .uncounted, to: .acknowledging, isNew: true)
        #expect(joined(connection, group, sent: revision))
    }

    @discardableResult
    private mutating func ack(_ revision: Int64, by connection: UInt32 = 1, sent: Int64? = nil) -> EnvironmentBook.Outcome? {
        book.acknowledged(Acknowledgement(revision: revision, status: .applied, message: nil), by: connection, sent: sent ?? revision)
    }

    @discardableResult
    private mutating func fail(_ revision: Int64, by connection: UInt32 = 1) -> EnvironmentBook.Outcome? {
        book.acknowledged(Acknowledgement(revision: revision, status: .failed, message: "no"), by: connection, sent: revision)
    }

    @discardableResult
    private mutating func publish(_ frames: Int64..., head: Int64? = nil) -> Bool {
        book.published(publication(frames, head: head ?? frames.last ?? 0))
    }

    @Test mutating func silentWatchersAreOnlyCounted() {
        #expect(enroll(1, from: .uncounted, to: .silent, isNew: true))
        #expect(!joined(1, group, sent: 5))
        #expect(!publish(6))
        #expect(ack(6) == nil)
        #expect(record.silent == 1)
        #expect(summary.isEmpty)
        #expect(dismiss(1, from: .silent) == nil)
        #expect(book.isEmpty)
    }

    @Test mutating func theFirstStateIsAcknowledgedLikeAnyFrame() {
        join(1, at: 57)
        #expect(summary == "0x1")
        // Invisible changes behind a snapshot that nobody has taken yet.
        publish(head: 58)
        #expect(summary == "0x1")
        #expect(ack(57) == .news)
        #expect(summary == "58x1")
    }

    @Test mutating func aFrameIsAppliedWhenItIsAcknowledged() {
        join(1, at: 57)
        ack(57)
        #expect(!publish(59))
        #expect(summary == "57x1")
        #expect(ack(59) == .news)
        #expect(summary == "59x1")
        #expect(ack(59) == .known)
        #expect(ack(58) == .known)
    }

    @Test mutating func aLaterAcknowledgementStandsForTheEarlier() {
        join(1, at: 57)
        publish(58)
        publish(59)
        ack(59)
        #expect(summary == "59x1")
    }

    @Test mutating func whatIsInvisibleCountsAsApplied() {
        join(1, at: 57)
        join(2, at: 57)
        ack(57, by: 1)
        #expect(publish(head: 60))
        #expect(summary == "60x1 0x1")
        publish(61)
        #expect(publish(head: 65))
        // Between the frames: the second watcher had nothing to see from 57 to 60.
        ack(57, by: 2)
        #expect(summary == "60x2")
        ack(61, by: 1)
        #expect(summary == "65x1 60x1")
    }

    @Test mutating func aFailureStaysUntilSomethingLaterIsApplied() {
        join(1, at: 57)
        ack(57)
        publish(58)
        #expect(fail(58) == .news)
        #expect(summary == "57-58x1")
        #expect(record.failures == [WatcherFailure(connection: "c-1", revision: 58, message: "no")])
        // It will never be asked about 59: its failure answers for that too.
        publish(head: 59)
        #expect(summary == "57-59x1")
        publish(60)
        #expect(summary == "57-59x1")
        #expect(ack(60) == .news)
        #expect(summary == "60x1")
        #expect(record.failures.isEmpty)
    }

    @Test mutating func onTheSameRevisionTheNewerWordCounts() {
        join(1, at: 57)
        publish(58)
        ack(58)
        fail(58)
        #expect(summary == "57-58x1")
        ack(58)
        #expect(summary == "58x1")
        // Late, and about less than it has.
        #expect(fail(57) == .known)
        #expect(summary == "58x1")
    }

    @Test mutating func aFailedStartIsNothingApplied() {
        join(1, at: 57)
        ack(57)
        fail(57)
        #expect(summary == "0-57x1")
    }

    @Test mutating func nobodyAcknowledgesWhatHeWasNotSent() {
        join(1, at: 57)
        #expect(ack(58, sent: 57) == .beyond)
        #expect(fail(59) == .beyond)
        publish(60)
        // Published, but this socket's turn has not come.
        #expect(ack(60, sent: 57) == .beyond)
        #expect(ack(60, sent: 60) == .news)
    }

    @Test mutating func whoLeavesHisGroupKeepsWhatHeHas() {
        join(1, at: 57)
        ack(57)
        publish(head: 58)
        publish(59)
        #expect(left(1, group, sent: 58))
        #expect(summary == "58x1")
        publish(head: 70)
        #expect(summary == "58x1")
        // A word that was on its way, and one of the future.
        #expect(ack(58, sent: 0) == .known)
        #expect(ack(59, sent: 0) == .beyond)
        #expect(joined(1, 10, sent: 70))
        #expect(summary == "58x1")
        ack(70)
        #expect(summary == "70x1")
    }

    @Test mutating func aFailureOutlivesTheGroup() {
        join(1, at: 57)
        fail(57)
        publish(head: 59)
        _ = book.left(1, group, sent: 59)
        #expect(summary == "0-59x1")
        _ = book.joined(1, 10, sent: 60)
        #expect(summary == "0-59x1")
    }

    @Test mutating func pagesOfALongWayBackAreAcknowledgedToo() {
        _ = book.enroll(1, from: .uncounted, to: .acknowledging, isNew: true)
        #expect(ack(250, sent: 0) == .beyond)
        book.paged(1, sent: 250)
        #expect(ack(250, sent: 0) == .news)
        book.paged(1, sent: 500)
        #expect(summary == "250x1")
        #expect(joined(1, group, sent: 700))
        ack(500)
        #expect(summary == "500x1")
    }

    @Test mutating func aNewSubscriptionStartsFromNothing() {
        join(1, at: 57)
        ack(57)
        _ = book.left(1, group, sent: 57)
        #expect(enroll(1, from: .acknowledging, to: .acknowledging, isNew: true))
        #expect(summary == "0x1")
        // Said before the answer came.
        #expect(ack(57, sent: 0) == .news)
        // The same filter again, because it fell behind: nothing changes.
        #expect(!enroll(1, from: .acknowledging, to: .acknowledging, isNew: false))
        #expect(summary == "57x1")
        #expect(enroll(1, from: .acknowledging, to: .silent, isNew: true))
        #expect(summary.isEmpty)
        #expect(record.silent == 1)
        #expect(enroll(1, from: .silent, to: .acknowledging, isNew: true))
        #expect(summary == "0x1")
        #expect(record.silent == 0)
    }

    @Test mutating func anotherHistoryForgetsEverything() {
        join(1, at: 57)
        join(2, at: 57)
        ack(57, by: 1)
        fail(57, by: 2)
        #expect(published(publication([40], head: 40, isReset: true)))
        #expect(summary == "0x2")
        #expect(record.failures.isEmpty)
        // Of the old history, on its way while the new one began.
        #expect(ack(57, by: 1, sent: 57) == .beyond)
        ack(40, by: 1)
        #expect(summary == "40x1 0x1")
    }

    @Test mutating func whoComesBackToLessHasAnotherHistory() {
        join(1, at: 57)
        ack(57)
        _ = book.left(1, group, sent: 57)
        _ = book.joined(1, 10, sent: 40)
        #expect(summary == "0x1")
    }

    @Test mutating func whoIsGoneIsForgotten() {
        join(1, at: 57)
        join(2, at: 57)
        fail(57, by: 1)
        #expect(dismiss(1, from: .acknowledging) == nil)
        #expect(summary == "0x1")
        #expect(record.failures.isEmpty)
        #expect(dismiss(2, from: .acknowledging) == group)
        #expect(book.isEmpty)
        #expect(!publish(58))
    }

    @Test mutating func onlySoManyFramesAreRemembered() {
        join(1, at: 0)
        join(2, at: 0)
        ack(0, by: 1)
        // After each visible change an invisible one.
        for round in 1...500 { publish(Int64(2 * round - 1), head: Int64(2 * round)) }
        #expect(summary == "0x2")
        // So far back it counts as far as it says, and near the end exactly.
        ack(11, by: 1)
        #expect(summary == "11x1 0x1")
        ack(981, by: 1)
        #expect(summary == "982x1 0x1")
        ack(999, by: 1)
        #expect(summary == "1000x1 0x1")
    }
}
