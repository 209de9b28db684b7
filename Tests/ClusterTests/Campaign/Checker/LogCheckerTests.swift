// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing

/// The checker finds what a campaign must never see: each kind of fault is put into logs that are right without it.
@Suite struct LogCheckerTests {
    /// Revisions 1, 2, 3 to 5 as one transaction, 6 (a secret), 7 (a delete).
    private static let rows = [
        row(1, name: "A", value: "a1", version: 1), row(2, name: "B", value: "b1", version: 1),
        row(3, of: 3...5, name: "A", value: "a2", version: 2), row(4, of: 3...5, name: "C", value: "c1", version: 1),
        row(5, of: 3...5, name: "B", value: "b2", version: 2), row(6, name: "S", value: "s1", version: 1, isSecret: true),
        row(7, name: "C", value: nil, version: 2),
    ]

    private static func row(
        _ revision: Int,
        of transaction: ClosedRange<Int>? = nil,
        name: String,
        value: String?,
        version: Int,
        isSecret: Bool = false
    ) -> CommittedChange {
        CommittedChange(
            revision: revision,
            first: transaction?.lowerBound ?? revision,
            last: transaction?.upperBound ?? revision,
            cursor: cursor(revision),
            name: name,
            isSecret: isSecret,
            isSet: value != nil,
            value: value,
            version: version
        )
    }

    private static func cursor(_ revision: Int) -> String { "\(revision)-0000000\(revision)" }

    private func history() throws -> EnvironmentHistory {
        try #require(EnvironmentHistory(path: "w/p/e", origin: Self.cursor(0), changes: Self.rows))
    }

    private func frame(_ previous: Int, _ revision: Int, only: ((LoggedChange) -> Bool)? = nil) -> WatchLog.Record {
        let changes = Self.rows[previous..<revision].map(LoggedChange.init).filter(only ?? { _ in true })
        return .changes(previous: previous, revision: revision, cursor: Self.cursor(revision), changes: changes)
    }

    private func snapshot(_ revision: Int) throws -> WatchLog.Record {
        let entries = try history().state(at: revision).values.map(LoggedChange.init)
        return .snapshot(revision: revision, cursor: Self.cursor(revision), entries: entries)
    }

    private func head(_ revision: Int) -> WatchLog.Record { .head(revision: revision, cursor: Self.cursor(revision)) }

    private func check(_ records: [WatchLog.Record], _ visibility: Visibility = Visibility()) throws -> LogChecker.Verdict {
        LogChecker.check(WatchLog(watcher: 7, environment: 0, visibility: visibility, records: records), try history())
    }

    // MARK: Right logs

    @Test func aLogAsPromisedHasNoFinding() throws {
        let whole = [try snapshot(0), frame(0, 1), frame(1, 2), frame(2, 5), frame(5, 6), frame(6, 7)]
        #expect(try check([.asked(since: nil)] + whole).finding == nil)
        #expect(try check([.asked(since: nil), try snapshot(2), frame(2, 7)]).finding == nil)
        // A lost connection, nothing new, then a resume; a request that was lost with its connection.
        let resumed: [WatchLog.Record] = [
            .asked(since: nil), try snapshot(1), .asked(since: 1), .asked(since: 1), frame(1, 1), frame(1, 5), head(5), .asked(since: 5),
            try snapshot(7), head(7),
        ]
        let verdict = try check(resumed)
        #expect(verdict.finding == nil)
        #expect(verdict.conflated == 0)
    }

    @Test func filtersAndMissingPermissionsLeaveChangesOut() throws {
        let filtered = Visibility(prefix: "B")
        let records: [WatchLog.Record] = [
            .asked(since: nil), .snapshot(revision: 0, cursor: Self.cursor(0), entries: []), frame(0, 2) { $0.name == "B" },
            frame(2, 5) { $0.name == "B" }, head(7), .asked(since: 7),
            .changes(previous: 7, revision: 7, cursor: Self.cursor(7), changes: []),
        ]
        #expect(try check(records, filtered).finding == nil)
        let blind = Visibility(showsSecrets: false)
        let withoutSecret: [WatchLog.Record] = [.asked(since: nil), try snapshot(5), frame(5, 7) { !$0.isSecret }]
        #expect(try check(withoutSecret, blind).finding == nil)
        #expect(try check([.asked(since: nil), try snapshot(5), frame(5, 6), frame(6, 7)], blind).finding?.kind == .wrongChange)
        #expect(try check([.asked(since: nil), try snapshot(7)], blind).finding?.kind == .wrongState)
    }

    @Test func theNewestOfEveryNameIsAConflatedFrame() throws {
        let newest: Set = [5, 3, 6, 7]
        let verdict = try check([.asked(since: nil), try snapshot(0), frame(0, 7) { newest.contains($0.revision) }])
        #expect(verdict.finding == nil)
        #expect(verdict.conflated == 1)
    }

    // MARK: Seeded faults

    @Test func aDroppedFrameIsFound() throws {
        #expect(try check([.asked(since: nil), try snapshot(0), frame(0, 1), frame(2, 5), frame(5, 7)]).finding?.kind == .brokenChain)
        // Dropped, and hidden by a chain that skips it.
        let hidden = try check([.asked(since: nil), try snapshot(0), frame(0, 1), frame(1, 7) { $0.revision != 2 }]).finding
        #expect(hidden?.kind == .missing)
        #expect(hidden?.revision == 2)
        #expect(try check([.asked(since: nil), try snapshot(0), frame(0, 7) { $0.revision != 6 }]).finding?.revision == 6)
        #expect(try check([.asked(since: nil), try snapshot(1), head(7)]).finding?.kind == .missing)
        let last = try check([.asked(since: nil), try snapshot(1), frame(1, 6)]).finding
        #expect(last?.kind == .missing)
        #expect(last?.revision == 7)
        #expect(last?.who == 7)
        #expect(try check([.asked(since: nil)]).finding?.kind == .missing)
    }

    @Test func aDoubledChangeIsFound() throws {
        #expect(try check([.asked(since: nil), try snapshot(0), frame(0, 1), frame(0, 1)]).finding?.kind == .brokenChain)
        let twice = Self.rows[0...1].map(LoggedChange.init) + [LoggedChange(Self.rows[1])]
        let record = WatchLog.Record.changes(previous: 0, revision: 2, cursor: Self.cursor(2), changes: twice)
        #expect(try check([.asked(since: nil), try snapshot(0), record]).finding?.kind == .disorder)
        #expect(try check([.asked(since: nil), try snapshot(5), .asked(since: 5), frame(2, 5)]).finding?.kind == .brokenChain)
        #expect(try check([.asked(since: nil), try snapshot(5), .asked(since: 5), try snapshot(2)]).finding?.kind == .wentBack)
        #expect(try check([.asked(since: nil), try snapshot(5), .asked(since: 2), frame(2, 7)]).finding?.kind == .wentBack)
    }

    @Test func swappedChangesAndFramesAreFound() throws {
        #expect(try check([.asked(since: nil), try snapshot(0), frame(1, 2), frame(0, 1)]).finding?.kind == .brokenChain)
        let swapped = [1, 0].map { LoggedChange(Self.rows[$0]) }
        let record = WatchLog.Record.changes(previous: 0, revision: 2, cursor: Self.cursor(2), changes: swapped)
        #expect(try check([.asked(since: nil), try snapshot(0), record]).finding?.kind == .disorder)
    }

    @Test func aCutTransactionIsFound() throws {
        #expect(try check([.asked(since: nil), try snapshot(2), frame(2, 4), frame(4, 7)]).finding?.kind == .cutTransaction)
        #expect(try check([.asked(since: nil), try snapshot(4)]).finding?.kind == .cutTransaction)
        #expect(try check([.asked(since: nil), try snapshot(2), frame(2, 5) { $0.revision != 4 }]).finding?.kind == .missing)
    }

    @Test func wrongValuesAndStatesAreFound() throws {
        var stale = LoggedChange(Self.rows[6])
        stale.isSet = true
        stale.value = "c1"
        let record = WatchLog.Record.changes(previous: 6, revision: 7, cursor: Self.cursor(7), changes: [stale])
        #expect(try check([.asked(since: nil), try snapshot(6), record]).finding?.kind == .wrongChange)
        let old = try history().state(at: 6).values.map(LoggedChange.init)
        let snapshot = WatchLog.Record.snapshot(revision: 7, cursor: Self.cursor(7), entries: old)
        #expect(try check([.asked(since: nil), snapshot]).finding?.kind == .wrongState)
        let otherHistory = WatchLog.Record.snapshot(revision: 7, cursor: "7-ffffffff", entries: [])
        #expect(try check([.asked(since: nil), otherHistory]).finding?.kind == .unknownCursor)
        #expect(try check([.asked(since: nil), frame(0, 1)]).finding?.kind == .unasked)
        #expect(try check([.asked(since: nil), try self.snapshot(7), frame(7, 7)]).finding?.kind == .unasked)
    }

    // MARK: Writes

    private let writes = [
        AnsweredWrite(writer: 1, environment: 0, revision: 1, count: 1, sets: ["A": "a1"]),
        AnsweredWrite(writer: 2, environment: 0, revision: 2, count: 1, sets: ["B": "b1"]),
        AnsweredWrite(writer: 1, environment: 0, revision: 5, count: 3, sets: ["A": "a2", "B": "b2", "C": "c1"]),
        AnsweredWrite(writer: 2, environment: 0, revision: 6, count: 1, sets: ["S": "s1"]),
        AnsweredWrite(writer: 2, environment: 0, revision: 7, count: 1, deletes: ["C"]),
    ]

    @Test func everyAnswerIsInTheTableOnce() throws {
        var histories = [try history()]
        histories[0].fill(nil, at: 6)
        WriteLedger.fillSecrets(&histories, from: writes)
        #expect(histories[0].changes == Self.rows)
        #expect(WriteLedger.check(writes, histories).isEmpty)
    }

    @Test func lostDoubledAndWrongWritesAreFound() throws {
        let histories = [try history()]
        let lost = AnsweredWrite(writer: 3, environment: 0, revision: 8, count: 1, sets: ["A": "a3"])
        #expect(WriteLedger.check(writes + [lost], histories).map(\.kind) == [.lostWrite])
        // Committed twice under one key: the second row has no answer of its own.
        #expect(WriteLedger.check(writes.dropLast(), histories).map(\.kind) == [.doubledWrite])
        #expect(WriteLedger.check(writes + [writes[0]], histories).map(\.kind) == [.doubledWrite])
        var wrong = writes
        wrong[0].sets = ["A": "other"]
        #expect(WriteLedger.check(wrong, histories).map(\.kind) == [.wrongWrite])
        let cut =
            writes.filter { $0.count == 1 } + [
                AnsweredWrite(writer: 1, environment: 0, revision: 5, count: 2, sets: ["B": "b2", "C": "c1"])
            ]
        #expect(Set(WriteLedger.check(cut, histories).map(\.kind)) == [.wrongWrite, .doubledWrite])
    }
}
