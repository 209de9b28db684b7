// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Gateway
import Notifier
import Store
import Synchronization
import Testing

/// A loop's ledger: environments, marks and tallies.
@Suite struct WatcherLedgerTests {
    private final class Announcements: Sendable {
        let count = Mutex(0)
    }

    private let production: EnvironmentPath
    private let announcements = Announcements()
    private let pulse: LedgerPulse
    private let ledger: WatcherLedger

    init() throws {
        production = try EnvironmentPath(parsing: "acme/web/production")
        let announcements = announcements
        pulse = LedgerPulse { announcements.count.withLock { $0 += 1 } }
        ledger = WatcherLedger(pulse: pulse) { "c-\($0)" }
    }

    private func enroll(_ connection: UInt32, id: String = "one", to standing: WatchStanding = .acknowledging) {
        ledger.enroll(connection, in: production, id: id, from: .uncounted, to: standing, isNew: true)
    }

    private func ack(_ revision: Int64, by connection: UInt32 = 1) -> Bool {
        let word = Acknowledgement(revision: revision, status: .applied, message: nil)
        return ledger.acknowledged(word, by: connection, in: production, sent: revision)
    }

    private func publication(_ frames: [Int64], head: Int64) -> Publication {
        Publication(
            group: 9,
            frames: frames.map { EncodedFrame(bytes: [], cursor: Cursor(revision: $0, mark: 1), changes: 1, committedAt: 0) },
            head: Cursor(revision: head, mark: 1)
        )
    }

    private func applied(_ id: String = "one") -> [Int64] {
        ledger.tallies(of: [id])[id].map { WatcherRecord(gateway: "g", $0).applied.map(\.revision) } ?? []
    }

    @Test func marksEachChangeOnceUntilItIsTaken() {
        enroll(1)
        ledger.joined(1, in: production, 9, sent: 5)
        #expect(ack(5))
        #expect(announcements.count.withLock { $0 } == 1)
        #expect(pulse.take() == ["one"])
        #expect(applied() == [5])
        #expect(pulse.take().isEmpty)
        // The frame changes nothing, its acknowledgement does.
        ledger.published([publication([6], head: 6)])
        #expect(pulse.take().isEmpty)
        #expect(ack(6))
        #expect(pulse.take() == ["one"])
        #expect(applied() == [6])
        // And so does something that nobody sees.
        ledger.published([publication([], head: 7)])
        #expect(pulse.take() == ["one"])
        #expect(applied() == [7])
        #expect(announcements.count.withLock { $0 } == 3)
    }

    @Test func refusesWhatWasNeverSent() {
        enroll(1)
        ledger.joined(1, in: production, 9, sent: 5)
        let word = Acknowledgement(revision: 6, status: .applied, message: nil)
        #expect(!ledger.acknowledged(word, by: 1, in: production, sent: 5))
    }

    @Test func theLastOnesEndIsToldAsAnEmptyTally() {
        enroll(1)
        enroll(2, to: .silent)
        #expect(ledger.tallies(of: nil).count == 1)
        _ = pulse.take()
        ledger.dismiss(2, in: production, from: .silent)
        #expect(pulse.take() == ["one"])
        #expect(ledger.tallies(of: ["one"])["one"] != nil)
        ledger.dismiss(1, in: production, from: .acknowledging)
        #expect(pulse.take() == ["one"])
        #expect(ledger.tallies(of: ["one"]).isEmpty)
        #expect(ledger.tallies(of: nil).isEmpty)
        // Once is enough.
        ledger.dismiss(1, in: production, from: .acknowledging)
        #expect(pulse.take().isEmpty)
    }

    @Test func anEnvironmentMadeAgainIsAnotherOne() {
        enroll(1)
        ledger.joined(1, in: production, 9, sent: 5)
        #expect(ack(5))
        _ = ledger.tallies(of: nil)
        _ = pulse.take()
        // It was behind when its environment went, and finds the new one under the path.
        ledger.left(1, 9, sent: 5)
        ledger.enroll(1, in: production, id: "two", from: .acknowledging, to: .acknowledging, isNew: false)
        #expect(pulse.take() == ["one", "two"])
        #expect(ledger.tallies(of: ["one", "two"]).keys.sorted() == ["two"])
        ledger.joined(1, in: production, 10, sent: 3)
        #expect(applied("two") == [0])
        #expect(ack(3))
        #expect(applied("two") == [3])
    }

    @Test func messagesAreCutAndCleaned() {
        func kept(_ text: String?) -> String? { Acknowledgement(revision: 1, status: .failed, message: text).failure }
        #expect(kept(nil) == "")
        #expect(kept("the port\r\n is\u{1B}[31m taken\u{0}\u{85}\u{2028}") == "the port is[31m taken")
        #expect(kept(String(repeating: "x", count: 300)) == String(repeating: "x", count: 200))
        // Nothing is cut in the middle of a character.
        #expect(kept(String(repeating: "é", count: 150)) == String(repeating: "é", count: 100))
        #expect(kept("a" + String(repeating: "👩‍👩‍👧", count: 50))?.utf8.count == 1 + 18 * 11)
        #expect(Acknowledgement(revision: 1, status: .applied, message: "fine").failure == nil)
    }
}
