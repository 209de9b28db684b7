// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import Testing

@Suite("A gateway's watchers of one environment")
struct WatcherRecordTests {
    private static func failure(_ revision: Int64, _ message: String = "") -> WatcherFailure {
        WatcherFailure(connection: "c-00000001", revision: revision, message: message)
    }

    private static func record(_ gateway: String = "g", _ fill: (inout WatcherTally) -> Void) -> WatcherRecord {
        var tally = WatcherTally()
        fill(&tally)
        return WatcherRecord(gateway: gateway, tally)
    }

    @Test("is written as the golden file shows, and read again")
    func golden() throws {
        let record = Self.record("gateway-1") { tally in
            tally.add(silent: 3)
            tally.add(applied: 0)
            tally.add(applied: 59, watchers: 10)
            tally.add(applied: 57, failedUpTo: 59)
            tally.note(failureAt: 58) { Self.failure(58, "the \"port\" is taken") }
        }
        let golden = try NotifierFixture.golden("watchers.json")
        #expect(String(decoding: record.encoded, as: UTF8.self) == golden)
        #expect(WatcherRecord(decoding: Array(golden.utf8)) == record)
        #expect(WatcherRecord(decoding: Array("{}".utf8)) == nil)
        #expect(WatcherRecord(decoding: Array("garbage".utf8)) == nil)
        let empty = Self.record { _ in }
        #expect(WatcherRecord(decoding: empty.encoded) == empty)
    }

    @Test("stays short, and what is cut seems less far, never further")
    func cut() {
        let record = Self.record { tally in
            for revision in 1...500 {
                tally.add(applied: Int64(revision))
                tally.add(applied: Int64(revision), failedUpTo: Int64(1_000 + revision))
                tally.note(failureAt: Int64(revision)) { Self.failure(Int64(revision), String(repeating: "\"", count: 200)) }
            }
        }
        #expect(record.applied.count == WatcherRecord.stepLimit)
        #expect(record.applied.first?.revision == 500)
        #expect(record.applied.last.map { "\($0.revision)x\($0.watchers)" } == "1x437")
        #expect(record.failing.last.map { "\($0.applied)-\($0.failed)x\($0.watchers)" } == "1-1001x437")
        #expect(record.failures.map(\.revision) == (481...500).reversed().map { Int64($0) })
        #expect(record.encoded.count < 16 * 1024)
        // "Everybody has answered" is as true of the record as of the watchers.
        #expect(WatcherCounts([record]).progress(of: 1).pending == 0)
        #expect(WatcherCounts([record]).progress(of: 2).pending == 437)
    }

    @Test("adds up over the loops of a gateway")
    func tallies() {
        var one = WatcherTally()
        one.add(silent: 1)
        one.add(applied: 5)
        one.add(applied: 3, failedUpTo: 4)
        one.note(failureAt: 4) { Self.failure(4) }
        var two = one
        two.add(applied: 6)
        two.note(failureAt: 7) { Self.failure(7) }
        one.add(two)
        let sum = Self.record { $0 = one }
        #expect(sum.silent == 2)
        #expect(sum.applied.map { "\($0.revision)x\($0.watchers)" } == ["6x1", "5x2"])
        #expect(sum.failing.map(\.watchers) == [2])
        #expect(sum.failures.map(\.revision) == [7, 4, 4])
        #expect(!one.isEmpty)
        #expect(WatcherTally().isEmpty)
    }

    @Test("adds up over the gateways of a cluster")
    func counts() {
        let one = Self.record("b") { tally in
            tally.add(silent: 2)
            tally.add(applied: 59, watchers: 3)
            tally.add(applied: 57, failedUpTo: 58)
            tally.note(failureAt: 58) { Self.failure(58) }
        }
        let two = Self.record("a") { tally in
            tally.add(applied: 57)
            tally.add(applied: 59)
            tally.add(applied: 50, failedUpTo: 60)
            tally.note(failureAt: 60) { Self.failure(60) }
        }
        // The same gateway twice: it was killed a moment ago and is back.
        let counts = WatcherCounts([one, two, Self.record("b") { $0.add(silent: 1) }])
        #expect(counts.total == 10)
        #expect(counts.acknowledging == 7)
        #expect(counts.silent == 3)
        #expect(counts.gateways.map { "\($0.name)x\($0.watchers)" } == ["ax3", "bx7"])
        #expect(counts.byRevision.map { "\($0.revision)x\($0.watchers)" } == ["59x4", "57x2", "50x1"])
        #expect(counts.failures.map(\.revision) == [60, 58])
        func progress(of revision: Int64) -> [Int] {
            let progress = counts.progress(of: revision)
            return [progress.applied, progress.failed, progress.pending]
        }
        #expect(progress(of: 57) == [6, 1, 0])
        #expect(progress(of: 58) == [4, 2, 1])
        #expect(progress(of: 59) == [4, 1, 2])
        #expect(progress(of: 61) == [0, 0, 7])
        #expect(WatcherCounts([]).total == 0)
    }
}
